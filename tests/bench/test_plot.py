from xml.etree import ElementTree

import pytest

from spacy_llm_tasks.bench import (
    annotate,
    heads,
    inference,
    memory,
    plot,
    pretraining,
    questions,
    startup,
    training,
)
from spacy_llm_tasks.bench.plot import Plot, draw

SVG = "{http://www.w3.org/2000/svg}"
PLOT = Plot("Speed <of> things", "rate", lambda row: row["name"], seconds="cpu_s", digits=1)
ROWS = [
    {"name": "ours & co", "rate": 40.0, "cpu_s": [1.0, 2.0, 4.0]},
    {"name": "peer", "rate": 10.0, "cpu_s": [8.0, 8.0, 8.0]},
    {"name": "absent", "rate": None},
]


def parts(picture, kind):
    return list(ElementTree.fromstring(picture).iter(SVG + kind))


def test_bars_are_as_long_as_the_numbers():
    picture = draw(PLOT, {"results": ROWS})
    ours, peer = (float(bar.get("width")) for bar in parts(picture, "rect"))
    assert ours == pytest.approx(4 * peer, rel=0.01)
    texts = [text.text for text in parts(picture, "text")]
    assert texts == ["Speed <of> things", "ours & co", "40.0", "peer", "10.0"]


def test_lines_go_from_the_slowest_round_to_the_fastest():
    picture = draw(PLOT, {"results": ROWS})
    bar = parts(picture, "rect")[0]
    left, unit = float(bar.get("x")), float(bar.get("width")) / 40.0
    (line,) = parts(picture, "path")  # the peer's rounds were all alike
    start, end = line.get("d").removeprefix("M").split("H")
    assert float(start.split()[0]) == pytest.approx(left + 20 * unit, abs=0.2)
    assert float(end) == pytest.approx(left + 80 * unit, abs=0.2)
    assert float(end) < plot.WIDTH


def test_nothing_to_draw():
    assert not parts(draw(PLOT, {"results": []}), "rect")


REPORTS = {
    inference: {"side": "ours", "precision": "fp32", "windows": "", "words_per_cpu_s": 9.0},
    training: {"side": "ours", "updates_per_cpu_s": 2.0, "cpu_s": [1.0]},
    heads: {"tasks": "all four", "ratio_cpu": 1.1},
    memory: {"side": "ours", "precision": "fp32", "texts": "mix", "peak_mb": 700.0},
    startup: {"name": "blank", "wall_s": 1.5},
    questions: {"questions_per_text": 4, "deferred_layers": 2, "questions_per_s": 20.0},
    annotate: {"side": "ours", "workers": 2, "rows_per_cpu_s": 50.0},
    pretraining: {"side": "ours", "pieces_per_cpu_s": 5000.0, "cpu_s": [1.0]},
}


@pytest.mark.parametrize("bench", REPORTS, ids=lambda bench: bench.__name__.split(".")[-1])
def test_every_report_can_be_drawn(bench):
    assert len(parts(draw(bench.PLOT, {"results": [REPORTS[bench]]}), "rect")) == 1
