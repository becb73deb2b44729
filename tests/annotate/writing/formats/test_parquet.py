import datetime
import decimal
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import spacy

from spacy_llm_tasks.annotate.reading.columns import Columns, columns_of
from spacy_llm_tasks.annotate.reading.inputs import read_rows
from spacy_llm_tasks.annotate.reading.read_settings import ReadSettings
from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.annotate.writing.formats import parquet
from spacy_llm_tasks.annotate.writing.outputs import PARTS, open_writer, row_of
from spacy_llm_tasks.annotate.writing.schema import output_schema

from ...annotated import ANSWERS, TEXT, blank, full_doc, row
from ...reading.files import write

ALL = [part for part in PARTS if part != "doc"]


def test_the_schema_is_the_one_that_is_documented(tmp_path):
    path = tmp_path / "shard.parquet"
    with open_writer("parquet", path, columns=Columns(), parts=ALL, embedding_width=3) as writer:
        writer.write([row_of(full_doc(), row(year=3), parts=ALL, answers=ANSWERS)])
        writer.write([row_of(spacy.blank("en")("Plain."), Row("d2", "Plain."), parts=ALL)])
    table = pq.read_table(path)
    assert table.schema.field("id").type == pa.string() and not table.schema.field("id").nullable
    assert table.schema.field("text").type == pa.large_string()
    assert str(table.schema.field("ents").type).replace("element: ", "") == (
        "list<struct<start: int32, end: int32, label: string, score: float, kb_id: string>>"
    )
    assert table.schema.field("embedding").type == pa.list_(pa.field("element", pa.float32()), 3)
    assert table.schema.metadata[b"spacy_llm_tasks.annotate"] == b"1"
    first, second = table.to_pylist()
    assert second == {
        **dict.fromkeys(table.schema.names),
        "id": "d2",
        "text": "Plain.",
        "tokens": second["tokens"],
    }
    expected = row_of(full_doc(), row(), parts=ALL, answers=ANSWERS)
    expected["embedding"] = expected["embedding"].tolist()
    for part in ALL:
        assert first[part] == expected[part], part
    assert json.loads(first["columns"]) == {"year": 3}


def test_the_schema_does_not_depend_on_the_rows(tmp_path):
    for name, records in (("a", []), ("b", [row_of(spacy.blank("en")("x"), Row("d", "x"))])):
        with open_writer("parquet", tmp_path / name, columns=Columns()) as writer:
            writer.write(records)
    schemas = [pq.read_schema(tmp_path / name) for name in "ab"]
    assert schemas[0].equals(schemas[1], check_metadata=True)
    assert pq.read_table([tmp_path / "a", tmp_path / "b"]).num_rows == 1


def test_columns_of_parquet_keep_their_types(tmp_path):
    utc = datetime.timezone.utc
    columns = {
        "when": pa.array(
            [datetime.datetime(2001, 2, 3, tzinfo=utc)], pa.timestamp("us", "Asia/Tokyo")
        ),
        "fine": pa.array([1234567890123456789], pa.timestamp("ns")),
        "nested": pa.array(
            [[{"at": 7, "w": [1.5]}]],
            pa.list_(
                pa.struct([("at", pa.timestamp("ns", "UTC")), ("w", pa.list_(pa.float32(), 1))])
            ),
        ),
        "lasts": pa.array([5], pa.duration("us")),
        "clock": pa.array([datetime.time(1, 2)], pa.time64("ns")),
        "price": pa.array([decimal.Decimal("1.50")], pa.decimal128(10, 2)),
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())),
        "bytes": pa.array([b"\xff"], pa.large_binary()),
        "day": pa.array([datetime.date(2001, 2, 3)]),
        "big": pa.array([2**64 - 1], pa.uint64()),
        "ents": pa.array([True]),
        "nothing": pa.nulls(1),
        "large": pa.array(["x"], pa.large_list(pa.string()).value_type),
    }
    file = write(tmp_path, "in.parquet", b"")
    given = pa.table({"text": [TEXT], **columns})
    pq.write_table(given, file.path)
    settings = ReadSettings()
    carried = columns_of([file], settings)
    with open_writer("parquet", tmp_path / "out", columns=carried) as writer:
        writer.write(row_of(full_doc(), one) for one in read_rows(file, settings))
    found = pq.read_table(tmp_path / "out")
    given = pq.read_table(file.path)
    for name in columns:
        column = found["input_ents" if name == "ents" else name]
        assert column.type == given[name].type and column.equals(given[name]), name


def test_dictionaries_become_their_values(tmp_path):
    file = write(tmp_path, "in.parquet", b"")
    pq.write_table(pa.table({"text": ["x"], "c": pa.array(["a"]).dictionary_encode()}), file.path)
    assert str(columns_of([file], ReadSettings()).arrow_type("c")) == "string"


def test_several_types_become_json(tmp_path):
    columns = Columns({"n": "json", "note": "text"})
    with open_writer("parquet", tmp_path / "x", columns=columns, parts=[]) as writer:
        writer.write({"id": str(i), "columns": {"n": n}} for i, n in enumerate([1, "1", None]))
    assert pq.read_table(tmp_path / "x").to_pylist() == [
        {"id": "0", "n": "1", "note": None},
        {"id": "1", "n": '"1"', "note": None},
        {"id": "2", "n": None, "note": None},
    ]


def test_row_groups_are_cut_by_rows_and_by_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 4)
    monkeypatch.setattr(parquet, "GROUP_CHARS", 100)
    parts = ["text"]
    with open_writer("parquet", tmp_path / "x", columns=Columns({}), parts=parts) as writer:
        sizes = [1] * 9 + [60, 60] + [200, 1]
        writer.write({"id": str(i), "columns": {}, "text": "x" * n} for i, n in enumerate(sizes))
    metadata = pq.read_metadata(tmp_path / "x")
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert groups == [4, 4, 3, 1, 1]


def test_values_that_do_not_fit_are_named(tmp_path):
    record = row_of(full_doc(), row())
    with pytest.raises(ValueError, match="E807.*'d1' has 3 numbers.*have 4"):
        with open_writer("parquet", tmp_path / "x", columns=Columns(), embedding_width=4) as writer:
            writer.write([record])
    columns = columns_of([write(tmp_path, "a.csv", b"text,n\n")], ReadSettings())
    with pytest.raises(ValueError, match="E808.*'n'.*string"):
        with open_writer("parquet", tmp_path / "x", columns=columns) as writer:
            writer.write([row_of(full_doc(), row(n=5))])


def test_a_schema_of_few_parts():
    assert output_schema(columns=Columns({}), parts=["cats"]).names == ["id", "cats"]


def test_the_bytes_do_not_tell_in_what_batches_rows_came(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 7)
    records = [
        row_of(full_doc() if i % 3 else blank()("x"), row(f"d{i}", year=i), parts=ALL)
        for i in range(20)
    ]
    for size in (1, 5, 20):
        path = tmp_path / str(size)
        with open_writer("parquet", path, columns=Columns(), parts=ALL) as writer:
            for start in range(0, 20, size):
                writer.write(records[start : start + size])
    assert len({(tmp_path / str(size)).read_bytes() for size in (1, 5, 20)}) == 1
    metadata = pq.read_metadata(tmp_path / "5")
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert groups == [7, 7, 6]


def test_a_group_that_cannot_be_written_is_no_rows_fault(tmp_path, monkeypatch):
    def failing(self, table, row_group_size):
        raise pa.ArrowNotImplementedError("no such type")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", failing)
    with pytest.raises(OSError, match="E815.*ArrowNotImplementedError"):
        with open_writer("parquet", tmp_path / "x", columns=Columns()) as writer:
            writer.write([row_of(full_doc(), row())])
