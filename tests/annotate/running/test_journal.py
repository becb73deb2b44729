import pytest

from spacy_llm_tasks.annotate.reading.shards import Place
from spacy_llm_tasks.annotate.running.journal import Done, Journal


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own").mkdir()
    return tmp_path


def done(folder, number, *, size=3):
    part = f"part-{number:05d}.jsonl"
    (folder / part).write_bytes(b"x" * size)
    start, end = Place(0, 10 * number), Place(number // 2, 10 * number + 10)
    faults = [{"id": 'é\n"', "error": "KeyError"}] if number == 1 else []
    return Done(number, start, end, 9, part, size, 0.5, faults, {"tokens": number})


def opened(folder):
    return Journal(folder / "own" / "journal.jsonl", folder)


def test_what_is_added_is_found_again_in_the_order_of_the_corpus(folder):
    journal = opened(folder)
    assert len(journal) == 0 and list(journal.in_order()) == []
    shards = [done(folder, number) for number in (2, 0, 1)]
    for one in shards:
        journal.add(one)
    for found in (journal, opened(folder)):
        assert list(found.in_order()) == [shards[1], shards[2], shards[0]]
        assert [found.end_of(n) for n in range(4)] == [
            Place(0, 10),
            Place(0, 20),
            Place(1, 30),
            None,
        ]


@pytest.mark.parametrize(
    "torn", [b'{"number": 5', b"\0" * 40, b'{"number": 1}\n', b"[]\n", b"\xff\n"]
)
def test_a_torn_line_is_no_line_and_is_written_over(folder, torn):
    journal = opened(folder)
    journal.add(done(folder, 0))
    with journal.path.open("ab") as file:
        file.write(torn)
    journal = opened(folder)
    assert len(journal) == 1 and journal.end_of(5) is None
    journal.add(done(folder, 1))
    assert [one.number for one in opened(folder).in_order()] == [0, 1]


def test_a_shard_whose_file_is_missing_or_short_is_not_done(folder):
    journal = opened(folder)
    for number in range(3):
        journal.add(done(folder, number))
    (folder / "part-00000.jsonl").unlink()
    (folder / "part-00002.jsonl").write_bytes(b"x")
    journal = opened(folder)
    assert [one.number for one in journal.in_order()] == [1]
    journal.add(done(folder, 2, size=8))
    assert [(one.number, one.n_bytes) for one in opened(folder).in_order()] == [(1, 3), (2, 8)]
