import pytest
from spacy.vocab import Vocab

from spacy_llm_tasks import annotations
from spacy_llm_tasks.corpora.conll04 import looks_like_conll04, read_conll04
from spacy_llm_tasks.corpora.report import Report


def block(name, *rows):
    return f"#doc {name}\n" + "".join("\t".join(row) + "\n" for row in rows)


NONE = "['N']"
GOOD = block(
    "31",
    ("0", "Ines", "B-Peop", NONE, "[0]"),
    ("1", "Vale", "I-Peop", "['Work_For', 'Live_In']", "[5, 7]"),
    ("2", "left", "O", NONE, "[2]"),
    ("3", "the", "O", NONE, "[3]"),
    ("4", "Tidal", "B-Org", NONE, "[4]"),
    ("5", "Works", "I-Org", "['OrgBased_In']", "[7]"),
    ("6", ",", "O", NONE, "[6]"),
    ("7", "Oban", "B-Loc", NONE, "[7]"),
) + block("7", ("0", "Rain", "O", NONE, "[0]"), ("1", ".", "O", NONE, "[1]"))


@pytest.fixture
def read(tmp_path):
    def run(text):
        path = tmp_path / "train.txt"
        path.write_text(text, encoding="utf-8")
        report = Report(path)
        return list(read_conll04(path, Vocab(), report)), report

    return run


def facts(doc):
    return [(r.head.text, r.label, r.tail.text) for r in doc._.relations]


def test_entities_and_directed_relations_between_last_tokens(read):
    docs, report = read(GOOD)
    assert docs[0].text.rstrip() == "Ines Vale left the Tidal Works , Oban"
    assert docs[0].has_unknown_spaces
    assert [(ent.text, ent.label_) for ent in docs[0].ents] == [
        ("Ines Vale", "Peop"),
        ("Tidal Works", "Org"),
        ("Oban", "Loc"),
    ]
    assert facts(docs[0]) == [
        ("Ines Vale", "Work_For", "Tidal Works"),
        ("Ines Vale", "Live_In", "Oban"),
        ("Tidal Works", "OrgBased_In", "Oban"),
    ]
    assert docs[0]._.relations[0].head.label_ == "Peop"
    assert facts(docs[1]) == [] and annotations.has_relations(docs[1])
    assert not report.unusable and not report.repaired


def test_blank_lines_and_windows_line_ends_change_nothing(read):
    docs, report = read(GOOD.replace("#doc 7", "\n#doc 7").replace("\n", "\r\n"))
    assert len(docs) == 2 and len(facts(docs[0])) == 3 and not report.unusable


def test_relations_on_other_tokens_of_an_entity_are_repaired(read):
    docs, report = read(GOOD.replace("[5, 7]", "[4, 7]"))
    assert facts(docs[0])[0] == ("Ines Vale", "Work_For", "Tidal Works")
    kind = "relation not between last tokens of entities"
    assert report.repaired == {kind: 1}
    assert report.places[kind][0].endswith("train.txt:3: Vale Work_For 4")


@pytest.mark.parametrize("target", ["[2, 7]", "[99, 7]"])
def test_relations_to_no_entity_are_counted(read, target):
    docs, report = read(GOOD.replace("[5, 7]", target))
    assert len(facts(docs[0])) == 2
    assert report.unusable == {"relation whose argument is no entity": 1}


def test_ill_formed_tags_are_repaired_or_left_unknown(read):
    text = GOOD.replace("B-Peop", "I-Peop").replace("B-Loc", "Loc")
    docs, report = read(text)
    assert [ent.text for ent in docs[0].ents] == ["Ines Vale", "Tidal Works"]
    assert docs[0][7].ent_iob_ == "" and len(facts(docs[0])) == 1
    assert report.repaired == {"inside tag without a first tag": 1}
    assert report.unusable == {
        "illegal tag (token kept, entity unknown)": 1,
        "relation whose argument is no entity": 2,
    }


@pytest.mark.parametrize(
    "line, reason",
    [
        ("8\thill", "line without a tag (token kept, entity unknown)"),
        ("8", "line without a token"),
        ("8\thill\tO\t['N']", "relations that are not two lists of one length"),
        ("8\thill\tO\t['N', 'X']\t[8]", "relations that are not two lists of one length"),
        ("8\thill\tO\t['N'\t[8]", "relations that are not two lists of one length"),
        ("8\thill\tO\tdict()\t8", "relations that are not two lists of one length"),
    ],
)
def test_broken_lines_are_counted_with_their_place(read, line, reason):
    docs, report = read(GOOD.replace("#doc 7", f"{line}\n#doc 7"))
    assert len(facts(docs[0])) == 3
    assert "train.txt:10:" in report.places[reason][0]


def test_a_file_without_documents_is_an_error(read):
    with pytest.raises(ValueError, match="E311.*#doc"):
        read("#doc 1\n\n#doc 2\n")
    docs, report = read("0\tx\n" + GOOD)
    assert len(docs) == 2 and report.unusable == {"line before the first '#doc'": 1}


def test_detection():
    assert looks_like_conll04(GOOD) and looks_like_conll04(GOOD.replace("\n", "\r\n"))
    assert not looks_like_conll04("#doc 1\nOban\tB-LOC\n")
    assert not looks_like_conll04("Oban\tB-LOC\n")
