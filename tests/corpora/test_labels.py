import csv

import pytest
import spacy

from spacy_llm_tasks.corpora.labels import parse_names, read_labels
from spacy_llm_tasks.corpora.report import Report


@pytest.fixture
def read(tmp_path):
    nlp = spacy.blank("en")

    def run(text, name="data.tsv", **options):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        report = Report(path)
        docs = list(read_labels(path, nlp, report, **options))
        return [(doc.text, doc.cats) for doc in docs], report

    return run


GOOD, BAD = {"bad": 0.0, "good": 1.0}, {"bad": 1.0, "good": 0.0}
PAIRS = [("fine soup", GOOD), ("cold soup", BAD), ("warm bread", GOOD)]


def test_either_order_is_found(read):
    assert read("fine soup\tgood\ncold soup\tbad\nwarm bread\tgood\n")[0] == PAIRS
    assert read("good\tfine soup\nbad\tcold soup\ngood\twarm bread\n")[0] == PAIRS


def test_label_before_a_space(read):
    assert read("good fine soup\nbad cold soup\ngood warm bread\n", name="x.txt")[0] == PAIRS
    found, _ = read("fine soup good\ncold soup bad\n", name="x.txt", order="text-label")
    assert found == PAIRS[:2]


def test_csv_with_quotes_line_breaks_and_a_header(read):
    text = 'Text,Label\n"fine, ""hot""\nsoup",good\ncold soup,bad\n,bad\n'
    found, report = read(text, name="x.csv")
    assert found == [('fine, "hot"\nsoup', GOOD), ("cold soup", BAD)]
    assert report.skipped == {"header line": 1}
    assert report.places["empty text"] == [f"{report.path}:5: bad"]


def test_tabs_inside_a_text_stay(read):
    found, _ = read("good\ta\tb\nbad\tc d\ngood\te f\n" + "bad\tx y\n" * 20)
    assert found[0] == ("a\tb", GOOD)


def test_quotes_in_tsv_are_plain_characters(read):
    found, _ = read('good\t"fine soup\nbad\tcold soup\ngood\twarm "bread"\n')
    assert [text for text, _ in found] == ['"fine soup', "cold soup", 'warm "bread"']


def test_header_names_or_positions_pick_columns(read):
    text = "id\tlabel\ttext\n1\tgood\tfine soup\n2\tbad\tcold soup\n"
    assert read(text, text_column="text", label_column="label")[0] == PAIRS[:2]
    assert read(text, text_column=2, label_column=1)[0] == PAIRS[:2]
    with pytest.raises(ValueError, match="E316.*'body'"):
        read(text, text_column="body", label_column="label")


def test_names_replace_raw_labels_and_name_all_of_them(read):
    names = {"1": "good", "0": "bad", "2": "odd"}
    found, report = read("1\tfine\n0\tcold\n1\twarm\n7\tnew\n", names=names)
    assert found[0] == ("fine", {"bad": 0.0, "good": 1.0, "odd": 0.0}) and len(found) == 3
    assert report.unusable == {"label that --labels does not name": 1}
    assert report.places["label that --labels does not name"] == [f"{report.path}:4: 7"]


def test_several_labels(read):
    found, _ = read("a b c\tx|y\nd\ty\nno label here\t\n", label_separator="|", order="text-label")
    assert [cats for _, cats in found] == [{"x": 1, "y": 1}, {"x": 0, "y": 1}, {"x": 0, "y": 0}]


def test_unusable_lines_are_counted(read):
    found, report = read(
        "good\tfine\nbad\t\n\tlost\nalone\nbad\tcold\n" + "bad\tx y\n" * 20, order="label-text"
    )
    assert len(found) == 22
    assert report.unusable == {
        "empty text": 1,
        "text without a label": 1,
        "line with too few columns": 1,
    }
    assert report.places["line with too few columns"] == [f"{report.path}:4: alone"]


@pytest.mark.parametrize("text", ["a\tb\nc\td\n", "p\tq\tr\ns\tt\tu\n"])
def test_a_label_column_that_cannot_be_told_is_an_error(read, text):
    with pytest.raises(ValueError, match="E315.*--order"):
        read(text)


def test_plain_text_is_not_taken_for_labels(read):
    with pytest.raises(ValueError, match="E315.*first words"):
        read("Every line\nstarts with\nanother word\nhere it goes\n", name="x.txt")


def test_a_stray_quote_in_csv_costs_its_own_line(read):
    """It would take the lines up to the next quote into one cell."""
    lines = ["text,label", "fine soup,good", '"cold soup,bad', "warm bread,good", ""]
    rest = ['boring "cake",bad', "ripe plum,good"]
    found, report = read("\n".join(lines + rest), name="x.csv")
    assert found == [*(PAIRS[0], PAIRS[2]), ('boring "cake"', BAD), ("ripe plum", GOOD)]
    assert report.unusable == {"line with a stray quote": 1}
    assert report.places["line with a stray quote"] == [f'{report.path}:3: "cold soup,bad']
    rest = ['"boring\n""cake""",bad', '"ripe" plum,good']
    found, report = read("\n".join(lines[:2] + rest + lines[2:]), name="x.csv")
    assert found == [PAIRS[0], ('boring\n"cake"', BAD), PAIRS[2]]
    assert report.unusable == {"line with a stray quote": 2}


@pytest.mark.parametrize("cell", ['"cold\nand "raw" soup"', '"cold, \nbut good\nand "raw'])
def test_lines_of_a_broken_cell_are_no_rows(read, cell):
    text = f"text,label\nfine soup,good\n{cell},bad\nwarm bread,good\n"
    found, report = read(text, name="x.csv")
    assert [text for text, _ in found] == ["fine soup", "warm bread"]
    n = cell.count("\n") + 1
    (place,) = report.places["lines with a stray quote"]
    assert place == f"{report.path}:3: ',' expected after '\"', {n} lines up to line {n + 2}"


def test_the_first_row_of_csv_must_be_readable(read):
    with pytest.raises(ValueError, match="E322.*x.csv:1.*quoting"):
        read('"text,label\nfine soup,good\n', name="x.csv")


def test_blank_csv_is_an_error(read):
    with pytest.raises(ValueError, match="E311.*labelled lines"):
        read(",\n,\n", name="x.csv")


def test_long_cells_of_csv(read):
    soup = "soup " * 50_000
    found, _ = read(f"text,label\n{soup},good\ncold soup,bad\n", name="x.csv")
    assert found[0] == (soup.strip(), GOOD)
    assert csv.field_size_limit() < len(soup)


def test_parse_names():
    assert parse_names("0=no, 1=yes,maybe") == {"0": "no", "1": "yes", "maybe": "maybe"}
    assert parse_names("") == {}
    with pytest.raises(ValueError, match="E320"):
        parse_names("0=,1=x")


@pytest.mark.parametrize("options", [{"order": "x"}, {"header": "x"}, {"separator": "x"}])
def test_unknown_options_are_errors(read, options):
    with pytest.raises(ValueError, match="E313"):
        read("a\tb\n", **options)
