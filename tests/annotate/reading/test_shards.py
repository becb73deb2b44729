import pytest

from spacy_llm_tasks.annotate.reading.input_files import InputFile
from spacy_llm_tasks.annotate.reading.rows import BadRow, Row
from spacy_llm_tasks.annotate.reading.shards import Cut, Place, batches_of, part_name, shards_of

FILES = [InputFile(name, name, "jsonl") for name in ("a", "none", "b", "c")]
SIZES = {"a": 5, "none": 0, "b": 4, "c": 3}


class Corpus:
    """Rows by file, and where reading began."""

    def __init__(self):
        self.starts = []
        self.n_read = 0

    def read(self, file, start):
        self.starts.append((file.name, start))
        for i in range(start, SIZES[file.name]):
            self.n_read += 1
            if (file.name, i) == ("b", 1):
                yield BadRow("b:2", "b", 2, "no JSON")
            else:
                yield Row(f"{file.name}{i}", "x" * (60 if (file.name, i) == ("a", 1) else 10))


def cut_up(corpus, cut, ends=()):
    ends = dict(ends)
    return shards_of(FILES, corpus.read, cut, done=ends.get, settled=list)


def ids(shards):
    return [[row.id for row in (*shard.rows, *shard.bad)] for shard in shards]


def test_shards_go_across_files_and_hold_each_row_once():
    shards = list(cut_up(Corpus(), Cut(shard_rows=4)))
    assert ids(shards) == [
        ["a0", "a1", "a2", "a3"],
        ["a4", "b0", "b2", "b:2"],
        ["b3", "c0", "c1", "c2"],
    ]
    assert [shard.number for shard in shards] == [0, 1, 2]
    assert [(s.start, s.end) for s in shards] == [
        (Place(0, 0), Place(0, 4)),
        (Place(0, 4), Place(2, 3)),
        (Place(2, 3), Place(3, 3)),
    ]


def test_characters_end_a_shard():
    shards = ids(cut_up(Corpus(), Cut(shard_rows=100, shard_characters=70)))
    assert shards[0] == ["a0", "a1"]
    assert [len(shard) for shard in shards[1:]] == [8, 2]  # a row that cannot be read has none


@pytest.mark.parametrize("is_done", [{0}, {1}, {0, 1}, {1, 2}, {0, 2}, {0, 1, 2}, {2}])
def test_what_is_done_is_passed_over_and_the_rest_is_cut_as_before(is_done):
    cut = Cut(shard_rows=4)
    whole = list(cut_up(Corpus(), cut))
    corpus = Corpus()
    rest = list(cut_up(corpus, cut, {n: whole[n].end for n in is_done}))
    assert rest == [shard for shard in whole if shard.number not in is_done]
    assert corpus.n_read == 4 * len(rest)  # nothing of what is done is read again


def test_shards_are_read_one_at_a_time():
    corpus = Corpus()
    shards = cut_up(corpus, Cut(shard_rows=4))
    next(shards)
    assert corpus.n_read == 4


def test_rows_get_their_final_ids():
    shards = shards_of(
        FILES[:1],
        Corpus().read,
        Cut(),
        done=lambda number: None,
        settled=lambda rows: [Row(row.id.upper(), row.text) for row in rows],
    )
    assert ids(shards) == [["A0", "A1", "A2", "A3", "A4"]]


@pytest.mark.parametrize(
    "sizes, expected",
    [
        ([], []),
        ([1] * 7, [(0, 3), (3, 6), (6, 7)]),
        ([4, 4, 4], [(0, 2), (2, 3)]),
        ([30, 1, 30], [(0, 1), (1, 2), (2, 3)]),  # a large one goes alone
        ([0, 0, 10, 0, 0], [(0, 3), (3, 5)]),
    ],
)
def test_batches_end_by_documents_and_characters(sizes, expected):
    rows = [Row(str(i), "x" * size) for i, size in enumerate(sizes)]
    assert batches_of(rows, Cut(batch_rows=3, batch_characters=10)) == expected


def test_names_of_parts_sort_as_their_numbers():
    assert part_name(7, "parquet") == "part-00007.parquet"
    assert sorted(part_name(n, "jsonl") for n in (99_999, 10, 9)) == [
        "part-00009.jsonl",
        "part-00010.jsonl",
        "part-99999.jsonl",
    ]
