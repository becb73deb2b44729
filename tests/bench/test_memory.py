import json
import os
import sys

import pytest

from spacy_llm_tasks.bench import fresh, memory, startup
from spacy_llm_tasks.bench.memory import Memory
from spacy_llm_tasks.cli.bench import app

from .data import write_weights
from .test_command import call


def test_ratios_are_of_the_same_texts():
    rows = [
        Memory("blank", "", "", 300.0, 300.0),
        Memory("ours", "fp32", "long", 400.0, 500.0),
        Memory("ours", "int8", "mix", 400.0, 410.0),
        Memory("peer", "fp32", "long", 500.0, 1000.0),
    ]
    assert [row.ratio for row in memory.compare(rows)] == [None, 0.5, None, 1.0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel")
def test_the_high_water_mark_is_of_this_process():
    """A child starts from its own size, whatever its parent has had."""
    ballast = bytearray(os.urandom(1)) * (300 * memory.MB)
    source = (
        "import json\nfrom spacy_llm_tasks.bench import memory\n"
        "before = memory.resident()\nbytearray(b'x') * (64 * memory.MB)\n"
        "print(json.dumps({'before': before, 'after': memory.resident(),"
        " 'peak': memory.high_water()}))"
    )
    found = fresh.run("child", source)
    assert len(ballast) > found["before"]
    assert found["peak"] - found["before"] > 60 * memory.MB
    assert found["after"] - found["before"] < 20 * memory.MB


def test_a_process_that_fails():
    with pytest.raises(ValueError, match="E591.*'child'.*KeyError: 'gone'"):
        fresh.run("child", "{}['gone']")


def test_medians_and_what_is_beyond_blank():
    readings = {
        "package": [(0.2, 0.1)] * 3,
        "blank": [(1.0, 0.9), (5.0, 0.8), (2.0, 0.7)],
        "ours": [(2.5, 1.1), (2.0, 1.0), (9.0, 9.0)],
    }
    package, blank, ours = startup.summarise(readings, ["ours"])
    assert (blank.wall_s, blank.cpu_s, blank.beyond_blank_wall_s) == (2.0, 0.8, None)
    assert (ours.beyond_blank_wall_s, ours.beyond_blank_cpu_s) == (0.5, 0.3)
    assert package.beyond_blank_cpu_s is None and ours.readings == readings["ours"]
    text = startup.render({"results": [vars(ours), vars(blank)], "rounds": 3})
    assert "| ours | 2.500 | 1.100 | 0.50 | 0.30 |" in text and "| blank | 2.000" in text


def test_unknown_texts(tmp_path):
    result = call("memory", "--weights", write_weights(tmp_path), "--texts", "poems")
    assert result.exit_code == 1 and "E587" in result.output


def test_commands_are_registered():
    assert {"memory", "startup"} <= {command.name for command in app.registered_commands}


@pytest.mark.slow
def test_both_commands_with_a_small_encoder(tmp_path):
    folder = write_weights(tmp_path)
    options = ("--weights", folder, "--sides", "ours", "--format", "json")
    texts = ("--texts", "sentences,long", "--precisions", "fp32,int8", "--words", 3000)
    result = call("memory", *options, *texts)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["results"]
    assert [(row["side"], row["precision"], row["texts"]) for row in rows] == [
        ("blank", "", ""),
        ("ours", "fp32", "sentences"),
        ("ours", "fp32", "long"),
        ("ours", "int8", "sentences"),
        ("ours", "int8", "long"),
    ]
    assert all(row["peak_mb"] >= row["loaded_mb"] > 50 for row in rows)
    result = call("startup", *options, "--rounds", 2)
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(result.stdout)["results"]}
    assert set(rows) == {"package", "registered", "blank", "ours"}
    assert rows["package"]["cpu_s"] < 0.1 and len(rows["ours"]["readings"]) == 2
