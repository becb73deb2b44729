import pytest
import spacy

from spacy_llm_tasks import annotations
from spacy_llm_tasks.corpora.hold_out import get_number
from spacy_llm_tasks.corpora.report import Report
from spacy_llm_tasks.corpora.semeval2010 import looks_like_semeval2010, read_semeval2010

GOOD = """8\t"The <e1>kettle</e1> hung over a "small" <e2>camp fire</e2>."
Cause-Effect(e2,e1)
Comment: It boils, as kettles do.

11\t"A <e1>baker</e1> sells <e2>loaves</e2>"
Product-Producer(e1,e2)
Comment:

20\t"<e1>Rain</e1> & <e2>tea</e2>."
Other
Comment:

"""


@pytest.fixture
def read(tmp_path):
    nlp = spacy.blank("en")

    def run(text, **options):
        path = tmp_path / "train.txt"
        path.write_bytes(text.encode("utf-8"))
        report = Report(path)
        return list(read_semeval2010(path, nlp, report, **options)), report

    return run


def facts(doc):
    return [(r.head.text, r.label, r.tail.text) for r in doc._.relations]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_sentences_relations_and_numbers(read, end):
    docs, report = read(GOOD.replace("\n", end))
    assert [doc.text for doc in docs] == [
        'The kettle hung over a "small" camp fire.',
        "A baker sells loaves",
        "Rain & tea.",
    ]
    assert [[(ent.text, ent.label_) for ent in doc.ents] for doc in docs] == [
        [("kettle", "ENTITY"), ("camp fire", "ENTITY")],
        [("baker", "ENTITY"), ("loaves", "ENTITY")],
        [("Rain", "ENTITY"), ("tea", "ENTITY")],
    ]
    assert [get_number(doc) for doc in docs] == [8, 11, 20]
    assert report.skipped == {"comment line": 3}
    assert not report.unusable and not report.repaired


def test_the_order_in_the_brackets_is_the_direction(read):
    docs, _ = read(GOOD)
    assert facts(docs[0]) == [("camp fire", "Cause-Effect", "kettle")]
    assert facts(docs[1]) == [("baker", "Product-Producer", "loaves")]
    assert facts(docs[2]) == [] and annotations.has_relations(docs[2])


def test_the_second_nominal_may_come_first(read):
    docs, _ = read('1\t"The <e2>lid</e2> of a <e1>pot</e1>."\nComponent-Whole(e2,e1)\n')
    assert facts(docs[0]) == [("lid", "Component-Whole", "pot")]


def test_a_nominal_inside_a_token_is_kept_exactly(read):
    docs, report = read('1\t"A <e1>tea</e1>pot by the<e2>sink</e2>."\nOther\n')
    assert [ent.text for ent in docs[0].ents] == ["tea", "sink"]
    assert docs[0].text == "A teapot by thesink."
    assert report.repaired == {"token cut where an entity begins or ends": 2}


def test_sentences_without_labels_are_not_annotated_for_relations(read):
    docs, report = read('1\t"<e1>a</e1> <e2>b</e2>"\n2\t"<e1>c</e1> <e2>d</e2>"\nOther\n')
    assert [annotations.has_relations(doc) for doc in docs] == [False, True]
    reason = "sentence without a label (kept without relations)"
    assert report.unusable == {reason: 1} and report.places[reason][0].endswith("train.txt:1: a b")


@pytest.mark.parametrize(
    "lines, reason, line",
    [
        ('1\t"<e1>a</e1> b"\nOther', "sentence that does not mark one <e1> and one <e2>", 5),
        ('1\t"<e1>a</e1> <e1>b</e1> <e2>c</e2>"\nOther', "sentence that does not mark one", 5),
        ('1\t"</e1>a<e1> <e2>c</e2>"\nOther', "sentence that does not mark one", 5),
        ('1\t"<e1></e1>a <e2>c</e2>"\nOther', "sentence that does not mark one", 5),
        ('1\t"<e1>a <e2>b</e2></e1>"\nOther', "sentence whose nominals cannot both be kept", 5),
        ('1\t"<e1>a</e1> <e2>b</e2>"\nLikes(e1,e1)', "label that is neither Other nor", 6),
        ('1\t"<e1>a</e1> <e2>b</e2>"\nLikes', "label that is neither Other nor", 6),
        ('1\t"<e1>a</e1> <e2>b</e2>"\nOther\nmore', "line that is no sentence, label", 7),
    ],
)
def test_what_cannot_be_read_is_counted_with_its_line(read, lines, reason, line):
    first = '3\t"<e1>x</e1> <e2>y</e2>"\nOther\nComment:\n\n'
    docs, report = read(first + lines + "\n")
    assert docs[0].text == "x y"
    found = next(name for name in report.unusable if name.startswith(reason))
    assert f"train.txt:{line}:" in report.places[found][0]


def test_a_file_without_sentences_is_an_error(read):
    with pytest.raises(ValueError, match="E311.*numbered sentences"):
        read("nothing\nhere\n")


def test_detection():
    assert looks_like_semeval2010("\n" + GOOD)
    assert not looks_like_semeval2010('1\t"no tags"\n' + GOOD)
