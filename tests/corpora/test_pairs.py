import pytest
import spacy

from spacy_llm_tasks.annotations import Pair
from spacy_llm_tasks.corpora.files import read_docs, write_docs
from spacy_llm_tasks.corpora.jsonl import jsonl_lines, read_jsonl
from spacy_llm_tasks.corpora.pairs import looks_like_sts, read_pairs
from spacy_llm_tasks.corpora.report import Report
from spacy_llm_tasks.corpora.summary import as_text, summarize

STS = (
    'news\twire\t2031\t0001\t5.000\tA "gull sits.\tThe gull is sitting."\r\n'
    "news\twire\t2031\t0002\t1.25\tRain fell.\tTea is warm.\tsource a\tsource b\r\n"
)


@pytest.fixture
def read(tmp_path):
    nlp = spacy.blank("en")

    def run(text, negatives=False, **options):
        path = tmp_path / "x.tsv"
        path.write_bytes(text.encode("utf-8"))
        report = Report(path)
        docs = list(read_pairs(path, nlp, report, **options))
        return [(doc.text, *doc._.pair[: 3 if negatives else 2]) for doc in docs], report

    return run


A, B = ("Rain fell.", "It rained."), ("Tea is warm.", "A gull sits.")


def test_the_layout_of_the_sts_benchmark(read):
    found, report = read(STS)
    assert found == [
        ('A "gull sits.', 'The gull is sitting."', 1.0),
        ("Rain fell.", "Tea is warm.", 0.25),
    ]
    assert report.skipped == {"source of the sentences (cells after the seventh)": 1}
    assert not report.unusable


def test_two_columns_belong_together(read):
    found, _ = read("\n".join("\t".join(pair) for pair in (A, B)))
    assert found == [(*A, 1.0), (*B, 1.0)]


@pytest.mark.parametrize("form", ["{0}\t{1}\t{2}", "{2}\t{0}\t{1}", "{0}\t{2}\t{1}"])
def test_three_columns_with_the_score_anywhere(read, form):
    found, _ = read(f"{form.format(*A, 1)}\n{form.format(*B, 0.25)}\n")
    assert found == [(*A, 1.0), (*B, 0.25)]
    found, _ = read(f"{form.format(*A, 4)}\n{form.format(*B, 1)}\n", score_max=4)
    assert found == [(*A, 1.0), (*B, 0.25)]


def test_triplets_give_a_pair_and_its_negative(read, tmp_path):
    found, report = read("\t".join((*A, "Tea is warm.")) + "\n", negatives=True)
    assert found == [(*A, 1.0, ("Tea is warm.",))]
    found, report = read("\t".join((*A, " ")) + "\n" + "\t".join((*A, "x")) + "\n")
    assert len(found) == 1 and report.unusable == {"empty sentence": 1}


def test_triplets_come_back_from_every_format(tmp_path):
    (tmp_path / "x.tsv").write_text("\t".join((*A, "Tea is warm.")) + "\n")
    nlp, report = spacy.blank("en"), Report(tmp_path / "x.tsv")
    docs = list(read_pairs(tmp_path / "x.tsv", nlp, report))
    wanted = Pair(A[1], 1.0, ("Tea is warm.",))
    for _ in range(2):
        write_docs(tmp_path / "x.spacy", docs)
        stored = list(read_docs(tmp_path / "x.spacy", nlp.vocab))
        (tmp_path / "x.jsonl").write_text("\n".join(jsonl_lines(stored, report)))
        docs = list(read_jsonl(tmp_path / "x.jsonl", nlp, report))
        assert [doc._.pair for doc in docs] == [wanted]
    assert "negatives" in as_text(summarize(docs), report)


def test_columns_by_position_or_name(read):
    text = "no\tsentence_B\tsentence_A\tjudged\n1\tIt rained.\tRain fell.\t3\n"
    options = {"first_column": 2, "second_column": 1, "score_column": 3, "score_max": 4.0}
    assert read(text, header="yes", **options)[0] == [(*A, 0.75)]
    options |= {"first_column": "Sentence_A", "score_column": "judged"}
    found, report = read(text, **options)
    assert found == [(*A, 0.75)] and report.skipped == {"header line": 1}
    assert read(text)[0] == [(*A, 1.0)]
    assert read(text.replace("judged", "score"), score_max=4)[0] == [(*A, 0.75)]
    with pytest.raises(ValueError, match="E316.*'body'"):
        read(text, first_column="body", second_column=1)


def test_headers_of_triplets(read):
    text = "anchor\tpositive\tnegative\n" + "\t".join((*A, "Tea is warm.")) + "\n"
    assert read(text, negatives=True)[0] == [(*A, 1.0, ("Tea is warm.",))]


def test_the_highest_score_must_be_known(read):
    with pytest.raises(ValueError, match="E341.*go up to 4.5.*--score-max"):
        read("a b\tc d\t4.5\n")


@pytest.mark.parametrize(
    "text, options",
    [
        ("a\n", {}),
        ("a\t5\n", {}),
        ("a\tb\tc\td\n", {}),
        ("1\t2\ta\n", {}),
        ("a\tb\n", {"first_column": 0}),
        ("a\tb\t1\n", {"score_column": 2}),
    ],
)
def test_columns_that_cannot_be_told_are_an_error(read, text, options):
    with pytest.raises(ValueError, match="E342.*--first-column"):
        read(text, **options)


def test_unusable_lines_are_counted_with_their_place(read):
    good = "a\tb\t0.5\n" * 40
    found, report = read(good + "a\tb\n\tb\t1\na\t \t1\na\tb\tnan\na\tb\t-1\n\n")
    assert len(found) == 40
    assert report.unusable == {
        "line with too few columns": 1,
        "empty sentence": 2,
        "score that is no number between 0 and 1": 2,
    }
    assert report.places["line with too few columns"][0].endswith("x.tsv:41: a | b")


@pytest.mark.parametrize("options", [{"header": "x"}, {"score_max": -1}, {"score_max": 1e999}])
def test_unknown_options_are_errors(read, options):
    with pytest.raises(ValueError, match="E313"):
        read("a\tb\n", **options)


def test_a_header_alone_holds_no_pairs(read):
    with pytest.raises(ValueError, match="E311"):
        read("sentence1\tsentence2\n")


def test_detection():
    assert looks_like_sts(STS) and looks_like_sts(STS * 1000)
    assert not looks_like_sts(STS.replace("5.000", "6").replace("1.25", "x"))
    assert not looks_like_sts("1\tOban\tB\tX\t2\tobj\tO\n")
    assert not looks_like_sts("a\tb\t1\n") and not looks_like_sts("\n")
