import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spacy_llm_tasks.annotate.reading.columns import Columns, columns_of, output_name
from spacy_llm_tasks.annotate.reading.read_settings import ReadSettings

from .files import write

SETTINGS = ReadSettings()


def parquet(tmp_path, name, **columns):
    file = write(tmp_path, name, b"")
    pq.write_table(pa.table({"text": ["x"], **columns}), file.path)
    return file


def types(columns):
    return {name: str(columns.arrow_type(name)) for name in columns.types}


def test_heads_of_files_settle_the_types(tmp_path):
    csv = write(tmp_path, "a.csv", b"id,text,n,note\n")
    txt = write(tmp_path, "a.txt", b"x")
    one = parquet(
        tmp_path, "a.parquet", id=[1], n=["x"], when=pa.array([1], pa.timestamp("ns", "UTC"))
    )
    columns = columns_of([csv, txt, one], SETTINGS)
    assert types(columns) == {"n": "string", "note": "string", "when": "timestamp[ns, tz=UTC]"}
    assert columns == Columns.from_dict(json.loads(json.dumps(columns.to_dict())))
    assert columns_of([txt], SETTINGS) == Columns({})


@pytest.mark.parametrize("suffix", ["jsonl", "spacy"])
def test_keys_that_may_differ_from_row_to_row_become_one_object(tmp_path, suffix):
    csv = write(tmp_path, "a.csv", b"text,n\n")
    other = write(tmp_path, f"a.{suffix}", b"")
    assert columns_of([csv, other], SETTINGS).types is None
    assert Columns.from_dict(Columns().to_dict()) == Columns()


@pytest.mark.parametrize(
    "one, other, common",
    [
        (pa.int32(), pa.int64(), "int64"),
        (pa.float32(), pa.float64(), "double"),
        (pa.string(), pa.large_string(), "large_string"),
        (pa.null(), pa.date32(), "date32[day]"),
        (pa.bool_(), pa.bool_(), "bool"),
        (pa.int64(), pa.string(), "json"),
        (pa.int64(), pa.float64(), "json"),  # would round the large ones
        (pa.timestamp("us"), pa.timestamp("ns"), "json"),
        (pa.list_(pa.int64()), pa.list_(pa.int32()), "json"),
    ],
)
def test_files_that_differ_in_a_type(tmp_path, one, other, common):
    a = parquet(tmp_path, "a.parquet", n=pa.nulls(1, one))
    b = parquet(tmp_path, "b.parquet", n=pa.nulls(1, other))
    for files in ([a, b], [b, a]):
        columns = columns_of(files, SETTINGS)
        if common == "json":
            assert columns.types == {"n": "json"} and types(columns) == {"n": "string"}
        else:
            assert types(columns) == {"n": common}
    csv = write(tmp_path, "a.csv", b"text,n\n")
    columns = columns_of([a, b, csv], SETTINGS)
    assert types(columns)["n"] in ("string", "large_string")


def test_only_heads_are_read(tmp_path):
    file = write(tmp_path, "a.csv", b"text,n\n" + b"x,1\n" * 10)
    with open(file.path, "ab") as out:
        os.truncate(out.fileno(), 4_000_000_000)  # takes no room on the disk
    assert columns_of([file], SETTINGS).types == {"n": "text"}


def test_names_that_the_output_needs_itself():
    names = [
        "year",
        "ents",
        "input_ents",
        "input_input_ents",
        "input_year",
        "text",
        "id",
        "ent_scores",
    ]
    found = [output_name(name) for name in names]
    assert found[:3] == ["year", "input_ents", "input_input_ents"]
    assert found[4] == "input_year" and found[5] == "input_text"
    assert len(set(found)) == len(names)


def test_a_damaged_file_carries_no_columns(tmp_path):
    assert columns_of([write(tmp_path, "a.parquet", b"PAR1")], SETTINGS) == Columns({})
    with pytest.raises(ValueError, match=r"E803.*b\.csv"):
        columns_of([write(tmp_path, "b.csv", b"body\n")], SETTINGS)
