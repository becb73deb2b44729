import spacy

from spacy_llm_tasks.corpora.files import read_docs, write_docs
from spacy_llm_tasks.corpora.hold_out import get_number, set_number, split_docs

NLP = spacy.blank("en")


def texts(docs):
    return [doc.text for doc in docs]


def test_position_counts_where_documents_have_no_number():
    docs = [NLP.make_doc(str(i)) for i in range(7)]
    kept, held = split_docs(docs, 3)
    assert texts(held) == ["0", "3", "6"] and texts(kept) == ["1", "2", "4", "5"]
    assert get_number(docs[0]) is None


def test_the_parts_are_all_documents_once():
    docs = [NLP.make_doc(str(i)) for i in range(7)]
    assert [texts(split_docs(docs, 3, part=part)[1]) for part in range(3)] == [
        ["0", "3", "6"],
        ["1", "4"],
        ["2", "5"],
    ]


def test_numbers_decide_where_there_are_some(tmp_path):
    docs = [NLP.make_doc(str(number)) for number in (9, 10, 12, 20, 0, 31)]
    for doc in docs:
        set_number(doc, int(doc.text))
    write_docs(tmp_path / "x.spacy", docs)
    kept, held = split_docs(read_docs(tmp_path / "x.spacy", NLP.vocab), 10)
    assert texts(held) == ["10", "20", "0"] and texts(kept) == ["9", "12", "31"]
