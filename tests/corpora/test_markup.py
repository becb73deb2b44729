import pytest
import spacy

from spacy_llm_tasks.corpora.checks import Schema, check_documents
from spacy_llm_tasks.corpora.markup import parse_markup, read_markup, to_record
from spacy_llm_tasks.corpora.report import Report

GOOD = """## garden-01
topic: garden
[Ida Moss|PERSON#1] planted her first orchard near [Ely|GPE#2]. It stands.
[Moss|PERSON] sold it in [1950|DATE]. A cat from [Ely|O] Street sleeps there.
@rel 1 LIVES_IN 2
@q Who planted an orchard? => Ida Moss
@q Where is the second Ely? => Ely #2
@pair 0.9 An orchard near Ely was begun by Ida Moss.

## kitchen-01
topic: kitchen
Soup. More soup! [Moss|PERSON] again?
@q What? => Soup
@q Who? => Moss
@pair 0 Bread.
"""

SCHEMA = Schema(
    topics=("garden", "kitchen"),
    labels=("PERSON", "GPE", "DATE"),
    relations={"LIVES_IN": ("PERSON", "GPE"), "KNOWS": ("PERSON", "PERSON")},
)


@pytest.fixture
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    return nlp


@pytest.fixture
def path(tmp_path):
    return tmp_path / "garden.txt"


def mistakes(path, nlp, text, schema=SCHEMA):
    path.write_text(text, encoding="utf-8")
    documents, problems = parse_markup(path)
    problems = [*problems, *check_documents(documents, schema, nlp)]
    return [str(problem).removeprefix(f"{path}:") for problem in problems]


def test_a_document_becomes_a_record(path, nlp):
    assert mistakes(path, nlp, GOOD) == []
    documents, _ = parse_markup(path)
    text = (
        "Ida Moss planted her first orchard near Ely. It stands.\n"
        "Moss sold it in 1950. A cat from Ely Street sleeps there."
    )
    record = to_record(documents[0], ["garden", "kitchen"])
    assert record == {
        "text": text,
        "ents": [[0, 8, "PERSON"], [40, 43, "GPE"], [56, 60, "PERSON"], [72, 76, "DATE"]],
        "relations": [{"head": 0, "tail": 1, "label": "LIVES_IN"}],
        "cats": {"garden": 1.0, "kitchen": 0.0},
        "questions": [
            {
                "id": "garden-01-q1",
                "question": "Who planted an orchard?",
                "answers": [{"text": "Ida Moss", "start": 0}],
            },
            {
                "id": "garden-01-q2",
                "question": "Where is the second Ely?",
                "answers": [{"text": "Ely", "start": text.rindex("Ely")}],
            },
        ],
        "pair": {"text": "An orchard near Ely was begun by Ida Moss.", "score": 0.9},
    }
    for start, end, _ in record["ents"]:
        assert text[start:end] in ("Ida Moss", "Ely", "Moss", "1950")


def test_files_and_folders_become_docs(path, nlp):
    path.write_text(GOOD, encoding="utf-8")
    (path.parent / "more.txt").write_text("## x-1\n[A|B] is one [broken.\n@q bad\n")
    report = Report(path.parent)
    docs = list(read_markup(path.parent, nlp, report))
    assert [doc.cats for doc in docs] == [
        {"garden": 1.0, "kitchen": 0.0},
        {"garden": 0.0, "kitchen": 1.0},
        {},
    ]
    assert docs[0]._.relations[0].tail.text == "Ely" and docs[0]._.pair.score == 0.9
    assert report.unusable == {"mistake in the markup": 2}
    assert [place.split(":")[1] for place in report.places["mistake in the markup"]] == ["2", "3"]
    with pytest.raises(ValueError, match="E311"):
        list(read_markup(path.parent / "..", nlp, report))


@pytest.mark.parametrize(
    "old, new, line, message",
    [
        ("## garden-01", "stray\n## garden-01", 1, "line outside a document"),
        ("It stands.", "It stands.\n\nMore.", 5, "line outside a document"),
        ("It stands.", "It [stands.", 3, "stray bracket or bar"),
        ("It stands.", "It | stands.", 3, "stray bracket or bar"),
        ("[Ely|GPE#2]", "[Ely|GPE#x]", 3, "the id after # must be a whole number"),
        ("[Ely|GPE#2]", "[Ely|GPE#1]", 3, "id #1 is used twice"),
        ("[Ely|GPE#2]", "[ Ely|GPE#2]", 3, "no spaces at the surface's ends"),
        ("[Ely|GPE#2]", "[Ely|#2]", 3, "write [surface|LABEL]"),
        ("[Ely|GPE#2]", "[Ely|TOWN#2]", 3, "the label is none of PERSON, GPE, DATE"),
        ("[Ely|GPE#2]", "[E|GPE#2]ly", 3, "is no whole number of spaCy's tokens"),
        ("[Moss|PERSON] sold", "Moss sold [Moss|PERSON]", 4, "'Moss' is marked PERSON elsewhere"),
        ("[Ely|O] Street", "Ely Street", 4, "mark it [Ely|GPE], or [Ely|O]"),
        ("in [1950|DATE]", "in 1950 not [1950|DATE]", 4, "'1950' is marked DATE elsewhere"),
        ("LIVES_IN 2", "LIVES_IN 7", 5, "no entity has id #7"),
        ("LIVES_IN", "LIKES", 5, "relation 'LIKES' is none of"),
        ("@rel 1 LIVES_IN 2", "@rel 2 LIVES_IN 1", 5, "head #2 of LIVES_IN is GPE, must be PERSON"),
        ("@rel 1 LIVES_IN 2", "@rel 1 KNOWS 1", 5, "related to itself"),
        ("@rel 1 LIVES_IN 2", "@rel 1 LIVES_IN 2\n@rel 1 LIVES_IN 2", 6, "given twice"),
        ("@rel 1 LIVES_IN 2", "@rel one LIVES_IN 2", 5, "cannot read"),
        ("=> Ida Moss", "=> Ida Mo ss", 6, "occurs 0 times in the text, wanted number 1"),
        ("=> Ely #2", "=> Ely #3", 7, "occurs 2 times in the text, wanted number 3"),
        ("Where is the second Ely? => Ely #2", "Who planted an orchard? => Ely", 6, "asked twice"),
        ("orchard? =>", "orchard =>", 6, "without a question mark"),
        ("@q Where is the second Ely? => Ely #2\n", "", 1, "has 1 x question (@q), must have 2"),
        ("@pair 0.9 An", "@pair 0.9 A.\n@pair 0.9 An", 1, "has 2 x pair (@pair), must have 1"),
        ("@pair 0.9 An", "@pair 1.9 An", 8, "score 1.9 of the pair"),
        ("@pair 0.9 An", "@pair high An", 8, "cannot read"),
        ("An orchard near Ely was begun by Ida Moss.", "It stands.", 8, "stands in the text"),
        ("@rel 1 LIVES_IN 2", "@rel 1 LIVES_IN 2\nMore text.", 6, "text after a command"),
        ("topic: garden\n", "", 1, "no topic"),
        ("topic: garden\n", "topic: zoo\n", 1, "topic 'zoo'"),
        ("topic: garden\n", "topic: kitchen\n", 1, "but topic 'kitchen'"),
        ("## garden-01", "## gardenone", 1, "write <topic>-<number>"),
        ("## garden-01", "##", 1, "header without a name"),
        ("## kitchen-01", "## garden-01", 10, "is taken by"),
        ("Soup. More soup! [Moss|PERSON] again?", "Soup, [Moss|PERSON].", 12, "has 1 sentences"),
        ("More soup!", "More! " * 8, 12, "has 10 sentences"),
        ("Soup. More soup! [Moss|PERSON] again?\n", "", 10, "document without a text"),
    ],
)
def test_every_mistake_is_placed_with_a_remedy(path, nlp, old, new, line, message):
    assert GOOD.count(old) >= 1
    found = mistakes(path, nlp, GOOD.replace(old, new, 1))
    assert any(item.startswith(f"{line}: ") and message in item for item in found), found


def test_line_breaks_may_end_sentences(path, nlp):
    chat = GOOD.replace("Soup. More soup! [Moss|PERSON] again?", "Soup\nmore\nwho is [Moss|PERSON]")
    assert mistakes(path, nlp, chat) == []


def test_numbers_inside_numbers_and_parts_of_words_are_no_repeats(path, nlp):
    text = GOOD.replace("A cat", "Mossy 1950s: 1,950 or 1950.5 or 1950,7. A cat").replace(
        "1,950", "3.1950"
    )
    assert mistakes(path, nlp, text) == []


def test_the_same_text_twice_is_an_error(path, nlp):
    twice = GOOD + "\n" + GOOD[GOOD.index("## kitchen") :].replace("kitchen-01", "kitchen-02")
    assert mistakes(path, nlp, twice) == ["17: same text as kitchen-01: write another"]


def test_a_file_without_documents_is_an_error(path, nlp):
    for text in ("", "no header\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match="E311"):
            parse_markup(path)
