import datetime
import decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spacy_llm_tasks.annotate.reading.formats import parquet
from spacy_llm_tasks.annotate.reading.inputs import check_inputs
from spacy_llm_tasks.annotate.reading.read_settings import ReadSettings
from spacy_llm_tasks.annotate.reading.rows import BadRow, Row

from ..files import bad, read, starts_anywhere, texts, write


def table(tmp_path, columns, name="a.parquet", **options):
    file = write(tmp_path, name, b"")
    pq.write_table(pa.table(columns), file.path, **options)
    return file


def test_rows_with_their_columns(tmp_path):
    when = datetime.datetime(2001, 2, 3, tzinfo=datetime.timezone.utc)
    file = table(
        tmp_path,
        {
            "text": pa.array(["one", "two"]).dictionary_encode(),
            "id": pa.array([5, None], pa.uint64()),
            "when": pa.array([when, None], pa.timestamp("us", "Europe/Berlin")),
            "price": pa.array([decimal.Decimal("1.50"), None]),
            "tags": pa.array([[{"a": b"x"}], []]),
            "fine": pa.array([1, None], pa.timestamp("ns")),
        },
    )
    first, second = read(file)
    assert first == Row(
        "5",
        "one",
        {
            "when": when,
            "price": decimal.Decimal("1.50"),
            "tags": [{"a": b"x"}],
            "fine": 1,
        },
        file="a.parquet",
        number=1,
    )
    assert second.id == "a.parquet:2" and second.columns["tags"] == []


@pytest.mark.parametrize("group", [7, 1000])
def test_rows_are_the_same_from_wherever_one_starts(tmp_path, monkeypatch, group):
    monkeypatch.setattr(parquet, "MAX_BATCH_ROWS", 3)
    file = table(tmp_path, {"text": [f"t{i}" for i in range(20)]}, row_group_size=group)
    assert texts(read(file)) == [f"t{i}" for i in range(20)]
    assert [row.id for row in read(file)] == [f"a.parquet:{i}" for i in range(1, 21)]
    assert starts_anywhere(file)


def test_batches_are_small_where_rows_are_large(tmp_path):
    text = "x" * 3_000_000
    file = table(
        tmp_path,
        {"text": [f"{i}{text}" for i in range(8)]},
        compression="none",
        use_dictionary=False,
    )
    with parquet._open(file) as source:
        assert [batch.num_rows for batch in parquet._batches(source)] == [2, 2, 2, 2]


def test_rows_that_are_no_rows(tmp_path):
    broken = pa.array([b"ok", b"caf\xe9", None, b"ok"]).cast(pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 4, broken.buffers())
    late = pa.array([0, 0, 0, 10**18], pa.timestamp("us"))
    file = table(tmp_path, {"text": broken, "late": late})
    rows = read(file)
    assert texts(rows) == ["ok"] and starts_anywhere(file)
    found = dict(bad(rows))
    assert "no UTF-8" in found[2] and found[3] == "'text' is null, expected text"
    assert found[4] == "column 'late' cannot be read (OverflowError)"
    assert texts(read(file, encoding_errors="replace")) == ["ok", "caf\ufffd"]
    assert read(file, encoding_errors="skip")[1].left_out


@pytest.mark.parametrize(
    "columns, code, named",
    [
        ({"body": ["x"], "id": [1]}, "E803", "'body', 'id'"),
        ({"text": [5]}, "E803", "'text' of type int64"),
        ({"text": ["x"], "id": [1.5]}, "E804", "'id'.*double"),
    ],
)
def test_columns_that_are_refused_by_name(tmp_path, columns, code, named):
    file = table(tmp_path, columns)
    for act in (read, lambda file: check_inputs([file], ReadSettings())):
        with pytest.raises(ValueError, match=rf"{code}.*a\.parquet.*{named}|{code}.*{named}.*"):
            act(file)


def test_two_columns_of_one_name(tmp_path):
    file = write(tmp_path, "a.parquet", b"")
    two = pa.Table.from_arrays([pa.array(["x"]), pa.array([1]), pa.array([2])], ["text", "n", "n"])
    pq.write_table(two, file.path)
    with pytest.raises(ValueError, match="E805.*'n'"):
        read(file)


def test_damaged_files(tmp_path):
    for data in (b"", b"PAR1 is not enough"):
        ((number, reason),) = bad(read(write(tmp_path, "x.parquet", data)))
        assert number == 0 and "damaged" in reason
    file = table(tmp_path, {"text": [f"some text {i}" for i in range(4000)]}, row_group_size=1000)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    place = len(data) // 2
    data[place : place + 500] = bytes(500)
    (tmp_path / "a.parquet").write_bytes(data)
    *rows, last = read(file)
    assert texts(rows) == [f"some text {i}" for i in range(len(rows))] and len(rows) >= 1000
    assert isinstance(last, BadRow) and last.number == len(rows) + 1
    for start in (0, 500, 1000, len(rows), len(rows) + 1):
        assert read(file, start=start) == [*rows, last][start:]


def test_a_file_that_is_gone(tmp_path):
    file = table(tmp_path, {"text": ["x"]})
    (tmp_path / "a.parquet").unlink()
    for act in (read, lambda file: check_inputs([file], ReadSettings())):
        with pytest.raises(ValueError, match=r"E802.*a\.parquet.*No such file"):
            act(file)


def test_ids_of_rows_that_are_no_documents(tmp_path):
    broken = pa.array([b"caf\xe9", None, None, None, b"ok"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 5, broken.buffers())
    ids = pa.array([b"A", b"B", b"\xe9", None, b"C"], pa.binary())
    ids = pa.Array.from_buffers(pa.string(), 5, ids.buffers())
    late = pa.array([0, 0, 0, 0, 10**18], pa.timestamp("us"))
    rows = read(table(tmp_path, {"id": ids, "text": text, "late": late}))
    assert [row.id for row in rows] == ["A", "B", "a.parquet:3", "a.parquet:4", "C"]
    assert all(isinstance(row, BadRow) for row in rows)
    (row,) = read(table(tmp_path, {"id": [7], "text": pa.array([None], pa.string())}))
    assert row.id == "7"
