import pytest
import spacy

from spacy_llm_tasks.corpora.columns import looks_like_columns, read_columns
from spacy_llm_tasks.corpora.files import read_docs, write_docs
from spacy_llm_tasks.corpora.report import Report


@pytest.fixture
def vocab():
    return spacy.blank("en").vocab


@pytest.fixture
def read(tmp_path, vocab):
    def run(text, **options):
        path = tmp_path / "tokens.conll"
        path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
        report = Report(path)
        return list(read_columns(path, vocab, report, **options)), report

    return run


def ents(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def test_tokens_are_kept_exactly(read):
    docs, report = read("Ana's\tB-PER\ndog-\tO\n\u2028x\u00a0y\tO\n\nOld\tB-LOC\nMill\tI-LOC\n")
    assert [[token.text for token in doc] for doc in docs] == [
        ["Ana's", "dog-", "\u2028x\u00a0y"],
        ["Old", "Mill"],
    ]
    assert [ents(doc) for doc in docs] == [[("Ana's", "PER")], [("Old Mill", "LOC")]]
    assert not report.unusable and not report.repaired


def test_single_spaces_are_marked_unknown_and_none_leaves_no_space(read):
    docs, _ = read("a O\nb O\n")
    assert docs[0].text.strip() == "a b" and docs[0].has_unknown_spaces
    docs, _ = read("\u4e2d B-LOC\n\u56fd E-LOC\n\u3000 O\n", spaces="none")
    assert docs[0].text == "\u4e2d\u56fd\u3000" and not docs[0].has_unknown_spaces
    assert ents(docs[0]) == [("\u4e2d\u56fd", "LOC")]


def test_negative_documents_count_as_annotated(read, tmp_path, vocab):
    docs, _ = read("a\tO\n\nb\tO\n")
    write_docs(tmp_path / "x.spacy", docs)
    for doc in (*docs, *read_docs(tmp_path / "x.spacy", vocab)):
        assert doc.ents == () and doc.has_annotation("ENT_IOB", require_complete=True)


def test_columns_are_picked_by_index(read):
    text = "1 ran VB O pad\n2 Rome NNP B-GPE pad\n"
    docs, _ = read(text, token_column=1, tag_column=-2)
    assert [token.text for token in docs[0]] == ["ran", "Rome"] and ents(docs[0]) == [
        ("Rome", "GPE")
    ]


def test_grouping_marks_sentences_and_stops_at_document_lines(read):
    text = "-DOCSTART- -X- O\n\na O\n\nb O\n\nc O\n\n-DOCSTART- -X- O\n\nd O\n"
    docs, report = read(text, group=2)
    assert [[token.text for token in doc] for doc in docs] == [["a", "b"], ["c"], ["d"]]
    assert [token.is_sent_start for token in docs[0]] == [True, True]
    assert report.skipped == {"-DOCSTART- line": 2}
    docs, _ = read(text, group=0)
    assert [len(doc) for doc in docs] == [3, 1]


def test_repairs_and_illegal_tags_are_counted_with_their_lines(read):
    docs, report = read("a\tO\nb\tI-X\n\nc\tB-X\nd\tQ-X\ne\tI-X\nf\n\t\tO\n")
    assert report.repaired == {"inside tag without a first tag": 2}
    assert report.places["inside tag without a first tag"] == [
        f"{report.path}:2: b I-X",
        f"{report.path}:6: e I-X",
    ]
    assert report.unusable == {
        "illegal tag (token kept, entity unknown)": 1,
        "line without a tag (token kept, entity unknown)": 1,
        "line without a token": 1,
    }
    assert ":5: d 'Q-X' is no tag" in report.places["illegal tag (token kept, entity unknown)"][0]
    # c, d, e, f: the unknown ones are missing, not outside
    assert [token.ent_iob_ for token in docs[1]] == ["B", "", "B", ""]


def test_only_the_first_places_are_listed(read):
    _, report = read("".join(f"w{i} I-X\n\n" for i in range(25)), scheme="bio")
    assert report.repaired["inside tag without a first tag"] == 25
    assert len(report.places["inside tag without a first tag"]) == 10


def test_schemes_detected_or_given(read):
    text = "a B-X\nb E-X\nc S-Y\n"
    docs, report = read(text)
    assert ents(docs[0]) == [("a b", "X"), ("c", "Y")] and not report.repaired
    _, report = read(text, scheme="bio")
    assert report.unusable["illegal tag (token kept, entity unknown)"] == 2


def test_comments_windows_line_ends_and_byte_order_mark(read):
    docs, report = read(b"\xef\xbb\xbf# source\r\na\tB-X\r\n\r\nb\tO\r\n", comment="#")
    assert [[token.text for token in doc] for doc in docs] == [["a"], ["b"]]
    assert ents(docs[0]) == [("a", "X")] and report.skipped == {"comment line": 1}


@pytest.mark.parametrize("text", ["", "\n \n\t\n", "-DOCSTART- O\n\n"])
def test_a_file_without_tokens_is_an_error(read, text):
    with pytest.raises(ValueError, match="E311"):
        read(text)


def test_undecodable_bytes_are_placed(read):
    with pytest.raises(ValueError, match=r"E312.*byte offset 8 \(line 3\).*--encoding"):
        read(b"a O\n\nna\xefve O\n".replace(b"na", b"n:a"))
    docs, _ = read(b"a O\n\nna\xefve O\n", encoding="latin-1")
    assert docs[1][0].text == "na\u00efve"


@pytest.mark.parametrize(
    "options",
    [{"scheme": "x"}, {"spaces": "x"}, {"separator": ";"}, {"group": -1}, {"encoding": "utf-99"}],
)
def test_unknown_options_are_errors(read, options):
    with pytest.raises(ValueError, match="E313"):
        read("a O\n", **options)


def test_columns_are_recognised():
    assert looks_like_columns("a O\nb B-X\n\nc O\n")
    assert not looks_like_columns("1 what a day\n0 not again\n")
    assert not looks_like_columns("")
