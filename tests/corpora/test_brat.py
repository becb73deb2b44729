import pytest
import spacy

from spacy_llm_tasks import annotations
from spacy_llm_tasks.corpora.brat import read_brat
from spacy_llm_tasks.corpora.report import Report

TEXT = "Ines Vale planted\nfir trees in Oban,\nScotland. \U0001f600 Moss\n"
GOOD = """T1\tPlant 18 27\tfir trees
T2\tPlace 31 35\tOban
R1\tGrowsIn Arg1:T1 Arg2:T2\t
T3\tPerson 0 9\tInes Vale
R2\tPlanted Arg2:T1 Arg1:T3
R3\tPlanted Agent:T3 Theme:T1
T4\tName 49 53\tMoss
"""


@pytest.fixture
def folder(tmp_path):
    def make(**files):
        for name, text in files.items():
            stem, _, suffix = name.rpartition("_")
            (tmp_path / f"{stem}.{suffix}").write_bytes(text.encode("utf-8"))
        return tmp_path

    return make


def read(path):
    report = Report(path)
    return list(read_brat(path, spacy.blank("en"), report)), report


def facts(doc):
    return [(r.head.text, r.label, r.tail.text) for r in doc._.relations]


def test_entities_and_relations_at_exact_characters(folder):
    docs, report = read(folder(a_txt=TEXT, a_ann=GOOD))
    assert docs[0].text == TEXT
    assert [(ent.text, ent.label_) for ent in docs[0].ents] == [
        ("Ines Vale", "Person"),
        ("fir trees", "Plant"),
        ("Oban", "Place"),
        ("Moss", "Name"),
    ]
    assert facts(docs[0]) == [
        ("fir trees", "GrowsIn", "Oban"),
        ("Ines Vale", "Planted", "fir trees"),
        ("Ines Vale", "Planted", "fir trees"),
    ]
    assert not report.unusable and not report.repaired


def test_a_folder_is_read_in_order_and_lonely_files_are_counted(folder):
    path = folder(
        b_txt="Moss", b_ann="", a_txt="Oban", a_ann="T1\tP 0 4\tOban", c_ann="", d_txt="x"
    )
    docs, report = read(path)
    assert [doc.text for doc in docs] == ["Oban", "Moss"]
    assert docs[1].has_annotation("ENT_IOB") and annotations.has_relations(docs[1])
    assert report.unusable == {
        "text without its .ann file": 1,
        "annotations without their .txt file": 1,
    }
    assert report.places["text without its .ann file"] == [f"{path / 'd.txt'}:1"]


@pytest.mark.parametrize("name", ["a.ann", "a.txt"])
def test_one_pair_by_either_name(folder, name):
    docs, _ = read(folder(a_txt=TEXT, a_ann=GOOD, b_txt="x", b_ann="") / name)
    assert [doc.text for doc in docs] == [TEXT]


@pytest.mark.parametrize("ann", [GOOD, "\ufeff" + GOOD])
@pytest.mark.parametrize("counted", [0, 1])
def test_a_byte_order_mark_counts_as_a_character_if_it_was_counted(folder, ann, counted):
    for place in (49, 35, 31, 27, 18, 53, 9):
        ann = ann.replace(f" {place}", f" {place + counted}")
    ann = ann.replace(" 0 ", f" {counted} ")
    docs, report = read(folder(a_txt="\ufeff" + TEXT, a_ann=ann))
    assert docs[0].text == TEXT and not report.unusable and not report.repaired
    assert [ent.text for ent in docs[0].ents] == ["Ines Vale", "fir trees", "Oban", "Moss"]


def test_an_entity_may_begin_with_the_byte_order_mark(folder):
    docs, report = read(folder(a_txt="\ufeffInes Vale", a_ann="T1\tPerson 0 5\n"))
    assert [ent.text for ent in docs[0].ents] == ["Ines"] and not report.unusable
    docs, _ = read(folder(a_txt="\ufeff", a_ann="\ufeff", b_txt="Moss", b_ann="\ufeff"))
    assert [doc.text for doc in docs] == ["Moss"]


def test_windows_line_ends_count_as_characters(folder):
    docs, report = read(folder(a_txt="fir\r\nMoss", a_ann="T1\tP 5 9\tMoss\r\n"))
    assert [ent.text for ent in docs[0].ents] == ["Moss"] and not report.unusable


def test_an_entity_over_a_line_end_has_no_gap(folder):
    ann = "T1\tPlace 31 36;37 45\tOban, Scotland\nT2\tX 0 4;10 17\tInes planted\nT3\tY 5 9;10 12\tx"
    docs, report = read(folder(a_txt=TEXT, a_ann=ann))
    assert [ent.text for ent in docs[0].ents] == ["Oban,\nScotland"]
    assert report.unusable == {"entity in several pieces": 2}


def test_tokens_are_cut_where_entities_begin_or_end(folder):
    docs, report = read(folder(a_txt="A mossland", a_ann="T1\tP 2 6\tmoss"))
    assert [ent.text for ent in docs[0].ents] == ["moss"] and docs[0].text == "A mossland"
    place = report.places["token cut where an entity begins or ends"][0]
    assert place.endswith("a.ann:1: mossland")


def test_overlapping_entities_keep_the_longest_and_count_lost_relations(folder):
    ann = GOOD + "T5\tPlant 22 35\ttrees in Oban\nT6\tPlant 18 27\tfir trees\n"
    docs, report = read(folder(a_txt=TEXT, a_ann=ann))
    assert [ent.text for ent in docs[0].ents] == ["Ines Vale", "trees in Oban", "Moss"]
    assert facts(docs[0]) == []
    assert report.unusable == {
        "entity that overlaps a longer or earlier one": 3,
        "relation whose entity was unusable": 3,
    }
    place = report.places["relation whose entity was unusable"][0]
    assert place.endswith("a.ann:3: GrowsIn T1 T2")


@pytest.mark.parametrize(
    "line, reason",
    [
        ("E1\tPlant:T1 Agent:T3", "event (not read; its trigger is)"),
        ("*\tEquiv T1 T2", "equivalence (not read)"),
        ("A1\tNegation T1", "attribute (not read)"),
        ("M1\tNegation T1", "attribute (not read)"),
        ("N1\tReference T1 Wiki:5\tfir", "normalization (not read)"),
        ("T9\tPlant 18 27\tfur trees", "entity whose text does not stand at its place"),
        ("T9\tPlant 50 99", "entity outside the text or empty"),
        ("T9\tPlant eighteen\tx", "line that is no annotation"),
        ("T4\tPlace 31 35\tOban", "entity whose id was used before"),
        ("R9\tGrowsIn Arg1:T1", "line that is no annotation"),
        ("R9\tGrowsIn Arg1:T1 Arg2:T77", "relation whose argument is no entity"),
        ("X9\tsome thing", "line that is no annotation"),
    ],
)
def test_what_has_no_place_in_a_doc_is_counted_with_its_line(folder, line, reason):
    docs, report = read(folder(a_txt=TEXT, a_ann=GOOD + line + "\n"))
    assert len(docs[0].ents) == 4 and len(facts(docs[0])) == 3
    assert report.unusable == {reason: 1} and "a.ann:8" in report.places[reason][0]


def test_notes_are_skipped(folder):
    _, report = read(folder(a_txt=TEXT, a_ann=GOOD + "#1\tAnnotatorNotes T1\tnice\n"))
    assert report.skipped == {"note line": 1} and not report.unusable


def test_missing_files_are_errors_and_empty_texts_counted(folder, tmp_path):
    with pytest.raises(ValueError, match="E311.*.ann files"):
        read(tmp_path)
    with pytest.raises(ValueError, match="E310.*a.txt"):
        read(folder(a_ann="") / "a.ann")
    with pytest.raises(ValueError, match="E310.*b.ann"):
        read(folder(b_txt="x") / "b.txt")
    docs, report = read(folder(a_txt="\n", a_ann="") / "a.ann")
    assert docs == [] and report.unusable == {"empty text": 1}
