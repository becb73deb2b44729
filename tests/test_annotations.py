import pickle
import warnings

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from spacy_llm_tasks import annotations
from spacy_llm_tasks.annotations import GoldAnswer, Pair, Question, Relation


def make_doc(vocab) -> Doc:
    words = ["Nora", "Quill", "runs", "Tidewell", "Pumps", "in", "Oban", "."]
    doc = Doc(vocab, words=words, spaces=[True] * 6 + [False, False])
    doc.ents = [Span(doc, 0, 2, "PERSON"), Span(doc, 3, 5, "ORG"), Span(doc, 6, 7, "GPE")]
    return doc


def annotate(doc: Doc) -> Doc:
    person, company, town = doc.ents
    annotations.set_relations(doc, [Relation(person, company, "WORKS_FOR", 0.75)])
    doc._.relations = [*doc._.relations, (company, town, "BASED_IN")]
    doc._.questions = [
        Question("q1", "Who runs it?", (GoldAnswer("Nora Quill", 0),)),
        Question("q2", "Why?", ()),
    ]
    doc._.pair = Pair("Oban has a pump maker.", 0.5)
    annotations.set_confidences(doc, list(doc.ents), [0.9, 0.8, 0.25])
    return doc


def facts(doc: Doc):
    return (
        [
            (r.head.text, r.head.label_, r.tail.text, r.tail.label_, r.label, r.score)
            for r in doc._.relations
        ],
        list(doc._.questions),
        doc._.pair,
        [ent._.confidence for ent in doc.ents],
    )


EXPECTED = (
    [
        ("Nora Quill", "PERSON", "Tidewell Pumps", "ORG", "WORKS_FOR", 0.75),
        ("Tidewell Pumps", "ORG", "Oban", "GPE", "BASED_IN", 1.0),
    ],
    [Question("q1", "Who runs it?", (GoldAnswer("Nora Quill", 0),)), Question("q2", "Why?", ())],
    Pair("Oban has a pump maker.", 0.5),
    [0.9, 0.8, 0.25],
)


@pytest.fixture
def nlp() -> Language:
    return spacy.blank("en")


def test_values_are_rich_objects(nlp):
    doc = annotate(make_doc(nlp.vocab))
    assert facts(doc) == EXPECTED
    assert isinstance(doc._.relations[0].head, Span)


def by_bytes(doc):
    return Doc(doc.vocab).from_bytes(doc.to_bytes())


def by_docbin(doc):
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    return next(DocBin().from_bytes(data).get_docs(doc.vocab))


def by_pickle(doc):
    return pickle.loads(pickle.dumps(doc))


def by_copy(doc):
    return doc.copy()


@pytest.mark.parametrize("travel", [by_bytes, by_docbin, by_pickle, by_copy])
def test_values_survive(nlp, travel):
    doc = annotate(make_doc(nlp.vocab))
    assert facts(travel(doc)) == EXPECTED
    assert facts(travel(travel(doc))) == EXPECTED


@Language.component("annotate_in_worker")
def annotate_in_worker(doc):
    doc.ents = [Span(doc, 0, 1, "PERSON"), Span(doc, 1, 2, "ORG"), Span(doc, 2, 3, "GPE")]
    doc._.relations = [(doc.ents[0], doc.ents[1], "WORKS_FOR", 0.5)]
    annotations.set_confidences(doc, list(doc.ents), [0.1, 0.2, 0.3])
    return doc


def test_values_survive_worker_processes(nlp):
    nlp.add_pipe("annotate_in_worker")
    docs = list(nlp.pipe(["a b c", "d e f", "g h i"], n_process=2, batch_size=1))
    assert [[ent._.confidence for ent in doc.ents] for doc in docs] == [[0.1, 0.2, 0.3]] * 3
    assert [doc._.relations[0].tail.text for doc in docs] == ["b", "e", "h"]


@pytest.mark.parametrize("travel", [by_bytes, by_docbin, by_pickle])
def test_empty_and_absent_differ(nlp, travel):
    doc = make_doc(nlp.vocab)
    assert not annotations.has_relations(doc) and not annotations.has_questions(doc)
    assert (doc._.relations, doc._.questions, doc._.pair) == ([], [], None)
    doc._.relations = []
    assert annotations.has_relations(travel(doc)) and not annotations.has_questions(travel(doc))
    doc._.questions = []
    annotations.clear_relations(doc)
    assert not annotations.has_relations(travel(doc)) and annotations.has_questions(travel(doc))
    doc._.pair = ("x", 1)
    doc._.pair = None
    assert travel(doc)._.pair is None


def test_confidence_belongs_to_boundaries_and_label(nlp):
    doc = annotate(make_doc(nlp.vocab))
    assert Span(doc, 0, 2, "ORG")._.confidence is None
    assert Span(doc, 0, 1, "PERSON")._.confidence is None
    annotations.set_confidences(doc, [Span(doc, 2, 3, "X:Y")], [0.5], keep=True)
    assert Span(doc, 2, 3, "X:Y")._.confidence == 0.5 and doc.ents[0]._.confidence == 0.9
    annotations.set_confidences(doc, [], [])
    assert doc.ents[0]._.confidence is None


def test_retokenizing_keeps_or_refuses(nlp):
    doc = annotate(make_doc(nlp.vocab))
    with doc.retokenize() as retokenizer:
        for ent in doc.ents:
            retokenizer.merge(ent)
    assert facts(doc) == EXPECTED
    with doc.retokenize() as retokenizer:
        retokenizer.split(doc[0], ["Nora ", "Quill"], heads=[(doc[0], 1), (doc[0], 0)])
    assert doc._.relations[0].head.text == "Nora Quill"
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[1:4])
    with pytest.raises(ValueError, match="E301.*Nora Quill.*retokenized"):
        _ = doc._.relations


def test_as_doc_drops_and_a_verbatim_copy_is_refused(nlp):
    doc = annotate(make_doc(nlp.vocab))
    bare = doc[2:7].as_doc()
    assert bare._.relations == [] and bare.ents[0]._.confidence is None
    wrong = doc[2:7].as_doc(copy_user_data=True)
    for read in (
        lambda: wrong._.relations,
        lambda: wrong._.questions,
        lambda: wrong._.pair,
        lambda: wrong.ents[0]._.confidence,
    ):
        with pytest.raises(ValueError, match="E300.*slice_doc"):
            read()
    assert facts(doc[:].as_doc(copy_user_data=True)) == EXPECTED


def test_joining_docs_leaves_values_out_with_a_warning(nlp):
    docs = [annotate(make_doc(nlp.vocab)) for _ in range(2)]
    with pytest.warns(UserWarning, match="W102"):
        joined = Doc.from_docs(docs)
    assert joined._.relations == [] and not annotations.has_relations(joined)
    assert joined.ents[0]._.confidence is None


def test_slice_doc_rebases_what_lies_inside(nlp):
    doc = annotate(make_doc(nlp.vocab))
    doc.cats = {"news": 1.0}
    part = annotations.slice_doc(doc[3:8])
    assert part.text == "Tidewell Pumps in Oban."
    assert [(r.head.text, r.tail.text, r.label) for r in part._.relations] == [
        ("Tidewell Pumps", "Oban", "BASED_IN")
    ]
    assert [q.id for q in part._.questions] == ["q2"]
    assert [ent._.confidence for ent in part.ents] == [0.8, 0.25]
    assert part._.pair is None and part.cats == {"news": 1.0}
    assert facts(annotations.slice_doc(doc[:])) == EXPECTED
    assert annotations.slice_doc(doc[0:2])._.questions[0].answers == (GoldAnswer("Nora Quill", 0),)


def test_slice_doc_keeps_absent_absent(nlp):
    part = annotations.slice_doc(make_doc(nlp.vocab)[3:8])
    assert not annotations.has_relations(part) and not annotations.has_questions(part)


def test_bad_values_are_refused(nlp):
    doc, other = make_doc(nlp.vocab), make_doc(nlp.vocab)
    a, b = doc.ents[:2]
    with pytest.raises(ValueError, match="E302.*tail"):
        annotations.set_relations(doc, [(a, other.ents[0], "X")])
    for score in (1.5, -0.1, float("nan"), "high"):
        with pytest.raises(ValueError, match="E303"):
            annotations.set_relations(doc, [(a, b, "X", score)])
    with pytest.raises(ValueError, match="E304.*Relation"):
        annotations.set_relations(doc, ["nonsense"])
    with pytest.raises(ValueError, match="E304.*Question"):
        annotations.set_questions(doc, ["nonsense"])
    with pytest.raises(ValueError, match="E305"):
        annotations.set_confidences(doc, [a], [])
    assert not annotations.has_relations(doc) and not annotations.has_questions(doc)


def test_negatives_of_a_pair(nlp):
    doc = make_doc(nlp.vocab)
    doc._.pair = Pair("x", 1.0, ["y", "z"])
    for other in (doc, by_bytes(doc), by_docbin(doc), by_pickle(doc)):
        assert other._.pair == Pair("x", 1.0, ("y", "z"))
    doc._.pair = ("x", 1.0)
    assert doc._.pair == Pair("x", 1.0, ())
    with pytest.raises(ValueError, match="E304.*negatives"):
        doc._.pair = ("x", 1.0, "y")


def test_installing_again_is_silent_and_a_taken_name_is_left_alone(nlp):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        annotations.install_extensions()
    Doc.set_extension("pair", default="theirs", force=True)
    try:
        with pytest.warns(UserWarning, match=r"W300.*Doc\._\.pair"):
            annotations.install_extensions()
        doc = make_doc(nlp.vocab)
        annotations.set_pair(doc, ("x", 0.5))
        assert doc._.pair == "theirs" and annotations.get_pair(doc) == Pair("x", 0.5)
    finally:
        Doc.remove_extension("pair")
        annotations.install_extensions()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.text(alphabet="ab\u00e9\U0001f600\u4e2d", min_size=1, max_size=4), min_size=1, max_size=8
    ),
    st.data(),
)
def test_any_relations_survive_bytes_and_docbin(words, data):
    vocab = Vocab()
    doc = Doc(
        vocab,
        words=words,
        spaces=data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words))),
    )
    starts = st.integers(0, len(words) - 1)
    rows = data.draw(
        st.lists(st.tuples(starts, starts, st.sampled_from("XYZ"), st.floats(0, 1)), max_size=5)
    )
    relations = [
        Relation(Span(doc, h, h + 1, "H"), Span(doc, t, t + 1, "T"), label, score)
        for h, t, label, score in rows
    ]
    annotations.set_relations(doc, relations)
    for travel in (by_bytes, by_docbin):
        found = travel(doc)._.relations
        assert [(r.head.start, r.tail.start, r.label, r.score) for r in found] == rows
