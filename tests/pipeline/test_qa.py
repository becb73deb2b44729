"""`trf_qa`: exact offsets whatever the text, refusals, confidences, and who answers for a doc."""

import copy
import gc
import itertools
import pickle

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given, settings
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from tokenization.hostile_texts import TEXTS as HOSTILE
from tokenization.hostile_texts import readable, texts
from tokenizers import ByteLevelBPETokenizer

from spacy_llm_tasks.annotations import set_questions
from spacy_llm_tasks.layers.answer_decoding import Spans
from spacy_llm_tasks.pipeline.asking import Answer, QaPipe, ask
from spacy_llm_tasks.pipeline.owners import MOST_VOCABS, _vocabs
from spacy_llm_tasks.pipeline.qa import FEWEST_TO_CALIBRATE, QaTask
from spacy_llm_tasks.tokenization import PieceTokenizer

from . import toys

ROOM = {"window": 30, "stride": 20}
WHO = "Who sails ?"
LONG = "Old Marta Quill sails from Pell to Lorne Bay every spring . " * 40


def build(tokenizer, **config):
    nlp = toys.empty_pipeline(tokenizer, **ROOM)
    nlp.add_pipe("trf_qa", config=config)
    return nlp


def initialized(tokenizer, **config):
    nlp = build(tokenizer, **config)
    toys.initialize(nlp)
    return nlp


@pytest.fixture(scope="module")
def trained(tokenizer):
    nlp = build(tokenizer)
    toys.overfit(nlp, steps=40)
    return nlp


@pytest.fixture(scope="module")
def bytes_folder(tmp_path_factory):
    """A byte-level BPE, whose pieces share characters and may stand for white space alone."""
    folder = tmp_path_factory.mktemp("bytes")
    special = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    pieces = ByteLevelBPETokenizer()
    pieces.train_from_iterator(
        toys.TEXTS, vocab_size=300, special_tokens=list(special.values()), show_progress=False
    )
    PieceTokenizer(pieces._tokenizer, names=special).to_folder(folder)
    return folder


@pytest.fixture(scope="module", params=["wordpiece", "bytes"])
def random_pipe(request, tokenizer, bytes_folder):
    """Not trained, so that answers begin and end anywhere."""
    nlp = initialized(tokenizer if request.param == "wordpiece" else bytes_folder, no_answer=False)
    return nlp.get_pipe("trf_qa")


def assert_exact(doc, answers):
    for answer in answers:
        assert doc.text[answer.start_char : answer.end_char] == answer.text
        assert answer.text == answer.text.strip()
        assert 0.0 <= answer.score <= 1.0
    places = [answer[1:3] for answer in answers]
    assert len(set(places)) == len(places)


# Offsets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_answers_stand_where_they_say(random_pipe, text):
    text = readable(text)  # spaCy's strings hold no lone surrogates
    doc = Doc(random_pipe.vocab, words=[text] if text else [], spaces=[False] if text else [])
    assert doc.text == text
    (answers,) = random_pipe.answer([doc], [WHO], n_best=20)
    assert_exact(doc, answers)
    if not text.strip():
        assert [answer.text for answer in answers] == [""]
    assert random_pipe.answer([doc], [WHO])[0] == answers[0]


@settings(deadline=None, max_examples=25)
@given(texts, texts)
def test_answers_stand_where_they_say_in_any_text(random_pipe, text, question):
    doc = Doc(random_pipe.vocab, words=["b", readable(text) or " "], spaces=[True, False])
    question = question[:3] + "?"  # a window has room for little more beside a text
    assert_exact(doc, random_pipe.answer([doc], [question], n_best=5)[0])


def test_answers_of_long_documents(random_pipe):
    doc = Doc(random_pipe.vocab, words=LONG.split())
    (answers,) = random_pipe.answer([doc], [WHO], n_best=50)
    assert len(answers) == 50 and len({answer.text for answer in answers}) > 5
    assert_exact(doc, answers)


def test_answers_are_the_same_alone_and_together(random_pipe):
    docs = [Doc(random_pipe.vocab, words=text.split()) for text in (*toys.TEXTS, LONG)]
    questions = [[WHO, "Why ?"], ["Why ?"], [WHO]]
    together = random_pipe.answer(docs, questions, n_best=2)
    for doc, asked, found in zip(docs, questions, together, strict=True):
        alone = [random_pipe.answer([doc], [q], n_best=2)[0] for q in asked]
        assert [[a[:3] for a in few] for few in found] == [[a[:3] for a in few] for few in alone]
        scores = [[[a.score for a in few] for few in many] for many in (found, alone)]
        np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("max_pieces", [1, 2, 1000])
def test_longest_answers(tokenizer, max_pieces):
    nlp = initialized(tokenizer, max_pieces=max_pieces)
    pieces = nlp.get_pipe("transformer").model.shims[0].built_tokenizer
    (answers,) = nlp.get_pipe("trf_qa").answer([nlp.make_doc(LONG)], [WHO], n_best=30)
    longest = max(len(pieces.encode([answer.text])) for answer in answers)
    assert longest <= max_pieces and (max_pieces < 1000 or longest > 2)


def test_an_answer_is_learned_wherever_its_window_is(tokenizer):
    """The answer stands across the end of the first window; all other windows hold none."""
    text = "every spring " * 6 + "Ivo Brandt left Vask . " + "every spring " * 9
    nlp = build(tokenizer, no_answer=False)
    gold = nlp.make_doc(text)
    start = text.index("Ivo Brandt left")
    set_questions(gold, [("q", "Who left Vask ?", [("Ivo Brandt left", start)])])
    data = [Example(nlp.make_doc(text), gold)]
    optimizer = toys.initialize(nlp, lambda: data)
    for _ in range(40):
        nlp.update(data, sgd=optimizer)
    answer = nlp(text)._.ask("Who left Vask ?")
    assert answer[:3] == ("Ivo Brandt left", start, start + 15) and answer.score > 0.3


# Questions ---------------------------------------------------------------------------------------


def test_shape_of_the_result(trained):
    docs, pipe = [trained.make_doc(text) for text in toys.TEXTS], trained.get_pipe("trf_qa")
    one = pipe.answer(docs, [WHO, WHO])
    assert [type(x) for x in one] == [Answer, Answer]
    mixed = pipe.answer(docs, [WHO, (WHO, "Why ?")])
    assert mixed[0] == one[0] and [type(x) for x in mixed[1]] == [Answer, Answer]
    ranked = pipe.answer(docs, [WHO, [WHO]], n_best=3)
    assert [a.text for a in ranked[0]] == [
        a.text for a in pipe.answer(docs, [WHO] * 2, n_best=3)[0]
    ]
    assert len(ranked[0]) == 3 and ranked[0][0][:3] == one[0][:3] and len(ranked[1][0]) == 3
    assert pipe.answer([], []) == [] and pipe.answer(docs, [[], []]) == [[], []]
    assert [len(few) for few in pipe.answer(docs, [WHO] * 2, n_best=1)] == [1, 1]


@pytest.mark.parametrize(
    "docs, questions, options, error",
    [
        (["x"], [""], {}, "E435"),
        (["x"], [" \n"], {}, "E435"),
        (["x"], [[WHO, "\u3000"]], {}, "E435"),
        (["x"], [[3]], {}, "E435"),
        (["x", "y"], [WHO], {}, "E434.*2 docs but 1"),
        (["x"], WHO, {}, "E446"),
        ("x", [WHO], {}, "E446"),
        (["x"], [WHO], {"n_best": 0}, "E425.*n_best"),
    ],
)
def test_questions_that_cannot_be_asked(trained, docs, questions, options, error):
    docs = trained.make_doc(docs) if isinstance(docs, str) else map(trained.make_doc, docs)
    with pytest.raises(ValueError, match=error):
        trained.get_pipe("trf_qa").answer(docs, questions, **options)


def test_of_a_question_without_end_the_beginning_is_read(trained):
    """One such question must not end a training, or cost the answers to all others."""
    pipe, docs = trained.get_pipe("trf_qa"), [trained.make_doc(text) for text in (LONG, LONG)]
    with pytest.warns(UserWarning, match="W216.*'Who sails"):
        endless, other = pipe.answer(docs, ["Who sails ? " * 20, WHO])
    assert other == pipe.answer(docs, [WHO, WHO])[1]
    assert endless.text in LONG
    with pytest.warns(UserWarning, match="W216"):
        assert pipe.answer(docs[:1], ["Who sails ? " * 40]) == [endless]
    assert len(pipe.answer([trained.make_doc("Pell")], ["Who sails ? " * 2])) == 1  # fits
    examples = toys.examples(trained)
    set_questions(examples[0].reference, [("1", "Who sails ? " * 20, [])])
    with pytest.warns(UserWarning, match="W216"):
        assert trained.evaluate(examples)["qa_f1"] is not None


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_a_document_without_words_says_nothing(trained, text):
    for no_answer in (True, False):
        nlp = copy.deepcopy(trained)
        nlp.get_pipe("trf_qa").task.no_answer = no_answer
        answer = nlp(text)._.ask(WHO)
        assert answer[:3] == ("", 0, 0) and answer.score > 0.99


@pytest.mark.parametrize("setting", ["max_pieces", "questions_per_doc"])
def test_settings(tokenizer, setting):
    with pytest.raises(ValueError, match=f"E425.*{setting}"):
        build(tokenizer, **{setting: 0})


# Refusals and confidences ------------------------------------------------------------------------


def spans_of(scores, null):
    """Answers of one character each."""
    scores = np.array(scores, dtype=float)
    every = np.concatenate([scores, [null]])
    place = np.arange(len(scores))
    return Spans(place, place + 1, scores, null, float(np.logaddexp.reduce(every)))


def task_with(**learned):
    task = QaTask()
    task.learned = {"no_answer": True, **learned}
    return task


@pytest.mark.parametrize(
    "threshold, expected", [(0.0, "ab0cd"), (2.5, "abc0d"), (-4.0, "0abcd"), (9.0, "abcd0")]
)
def test_the_refusal_stands_where_its_margin_puts_it(threshold, expected):
    spans = spans_of([4.0, 3.0, 1.0, -2.0], null=2.0)
    found = task_with(threshold=threshold)._ranked(spans, "abcd")
    assert "".join(answer.text or "0" for answer in found) == expected
    assert sum(answer.score for answer in found) == pytest.approx(1.0)
    for answer in found:
        wanted = np.exp((spans.score[ord(answer.text) - 97] if answer.text else 2.0) - spans.total)
        assert answer.score == pytest.approx(wanted)
    never = task_with(threshold=threshold, no_answer=False)._ranked(spans, "abcd")
    assert [answer.text for answer in never] == list("abcd")


def test_a_refusal_has_a_map_of_its_own():
    maps = {"answers": [1.0, 1.0], "refusals": [0.0, 2.0]}
    found = task_with(calibration=maps)._ranked(spans_of([4.0], null=5.0), "a")
    logits = [np.log(a.score / (1 - a.score)) for a in found]
    assert [a.text for a in found] == ["", "a"]
    np.testing.assert_allclose(logits, [2.0, 4.0 - 5.0 + 1.0], atol=1e-9)


def asked(nlp, n, *, share=0.5):
    """Docs with one question each, whose gold is what the pipeline says, or not."""
    data, rng = [], np.random.default_rng(0)
    for i in range(n):
        words = [*rng.permutation(toys.TEXTS[0].split())[:8].tolist(), "."]
        gold = Doc(nlp.vocab, words=words)
        answers = [(words[0], 0)] if i % 2 else []
        if answers and i < share * n:
            (said,) = nlp.get_pipe("trf_qa").answer([gold], [WHO], n_best=2)
            answers = [(a.text, a.start_char) for a in said if a.text][:1]
        set_questions(gold, [(f"q{i}", WHO, answers)])
        data.append(Example(Doc(nlp.vocab, words=words), gold))
    return data


def test_calibration(trained):
    nlp = copy.deepcopy(trained)
    data, pipe = asked(nlp, 2 * FEWEST_TO_CALIBRATE + 2), nlp.get_pipe("trf_qa")
    before = pipe.score(data)
    assert before["qa_best_f1"] >= before["qa_f1"] - 1e-9
    assert pipe.calibrate(data)
    after = pipe.score(data)
    # On the data that it was chosen on, the threshold is the best one.
    assert after["qa_f1"] == pytest.approx(after["qa_best_f1"]) == before["qa_best_f1"]
    confidences, right = pipe.reliability(data)
    assert len(confidences) == len(data) and right.dtype == bool
    assert right.mean() == pytest.approx(after["qa_em"])
    loaded = pickle.loads(pickle.dumps(nlp))
    assert loaded.get_pipe("trf_qa").task.learned == pipe.task.learned
    toys.initialize(nlp)
    assert nlp.get_pipe("trf_qa").task.learned == {"no_answer": True}


def test_confidences_become_frequencies():
    """Refusals are right in 3 of 4 cases and answers in 5 of 8, whatever the scores say."""
    task, spans, data = task_with(), [], []
    for i in range(160):
        refuses, is_open = i % 2 == 0, (i // 2) % 8 < 5
        if refuses:
            is_open = (i // 2) % 4 == 3
        spans.append(spans_of([0.0], null=3.0 + i / 160 if refuses else -3.0 - i / 160))
        gold = Doc(Vocab(), words=["b", "c"])
        set_questions(gold, [("q", WHO, [("b", 0)] if is_open else [])])
        data.append(Example(Doc(gold.vocab, words=["b", "c"]), gold))
    task._found = lambda pairs, n_best=1: spans
    assert task.calibrate(data, []) and -3.0 < task.learned["threshold"] < 3.0
    confidences, right = task.reliability(data)
    for kind, frequency in ((0, 0.75), (1, 0.625)):
        assert right[kind::2].mean() == frequency
        assert confidences[kind::2].mean() == pytest.approx(frequency, abs=0.03)


def test_few_questions_leave_everything_alone(trained):
    nlp = copy.deepcopy(trained)
    pipe = nlp.get_pipe("trf_qa")
    learned = dict(pipe.task.learned)
    assert not pipe.calibrate(asked(nlp, FEWEST_TO_CALIBRATE - 1))
    assert pipe.task.learned == learned
    confidences, right = pipe.reliability(toys.unannotated(nlp))
    assert confidences.shape == right.shape == (0,)


def test_without_errors_confidences_stay_as_they_are(tokenizer):
    nlp = initialized(tokenizer, no_answer=False)
    data = [eg for eg in asked(nlp, 90, share=1.0) if eg.reference._.questions[0].answers]
    assert not nlp.get_pipe("trf_qa").calibrate(data)
    assert "calibration" not in nlp.get_pipe("trf_qa").task.learned


def test_scores_with_and_without_refusals(trained, tokenizer):
    scores = trained.evaluate(toys.examples(trained))
    assert scores["qa_has_ans_f1"] == scores["qa_no_ans_f1"] == scores["qa_best_f1"] == 1.0
    nlp = initialized(tokenizer, no_answer=False)
    first = nlp.evaluate(toys.examples(nlp)[1:])  # SQuAD 1.1
    assert first["qa_f1"] is not None and first["qa_no_ans_f1"] is first["qa_best_f1"] is None
    assert nlp.evaluate(toys.examples(nlp))["qa_no_ans_f1"] == 0.0


# Training ----------------------------------------------------------------------------------------


def test_questions_are_drawn(tokenizer):
    nlp = build(tokenizer, questions_per_doc=3, no_answer=False)
    gold = nlp.make_doc(toys.TEXTS[0])
    rows = [(str(i), f"Who {'a' * i} ?", [("Old", 0)] if i % 2 else []) for i in range(10)]
    set_questions(gold, [*rows, ("empty", " ", [("Old", 0)])])
    task, drawn = nlp.get_pipe("trf_qa").task, set()
    for _ in range(20):
        chosen = task._drawn(gold._.questions)
        assert len(chosen) == 3 == len({q.id for q in chosen})
        drawn |= {q.id for q in chosen}
    assert drawn == {"1", "3", "5", "7", "9"}


def test_questions_without_answers_alone(tokenizer):
    """A corpus that teaches nothing but refusing, and one whose answers nobody can find."""
    for answers in ([], [("never there", 400)]):
        nlp = build(tokenizer)
        data = toys.examples(nlp)
        for eg in data:
            set_questions(eg.reference, [("q", WHO, answers)])
        optimizer = toys.initialize(nlp, lambda data=data: data)
        losses = [nlp.update(data, sgd=optimizer, losses={})["trf_qa"] for _ in range(3)]
        assert all(np.isfinite(losses)) and (losses[-1] > 0) == (not answers)


def test_training_on_a_long_document(tokenizer):
    nlp = build(tokenizer)
    gold = nlp.make_doc(LONG)
    set_questions(gold, [("q", WHO, [("Lorne Bay", LONG.rindex("Lorne Bay"))])])
    data = [Example(nlp.make_doc(LONG), gold)]
    optimizer = toys.initialize(nlp, lambda: data)
    losses = [nlp.update(data, sgd=optimizer, losses={})["trf_qa"] for _ in range(8)]
    assert losses[-1] < losses[0]


# doc._.ask ---------------------------------------------------------------------------------------


def test_ask(trained):
    doc = trained(toys.TEXTS[0])
    answer = doc._.ask("Marta sails to a bay ?")
    assert answer[:3] == ("Lorne Bay", 35, 44) and answer.score > 0.5
    assert doc._.ask("Why did Ivo leave ?").text == ""
    assert answer == trained.get_pipe("trf_qa").answer([doc], ["Marta sails to a bay ?"])[0]
    with pytest.raises(ValueError, match="E435"):
        doc._.ask("")


def test_nobody_to_ask():
    with pytest.raises(ValueError, match="E430.*Found 0"):
        spacy.blank("en")("Pell")._.ask(WHO)


def test_ask_after_every_journey(trained):
    doc = trained(toys.TEXTS[0])
    expected = doc._.ask(WHO)
    for other in (
        doc.copy(),
        Doc(trained.vocab).from_bytes(doc.to_bytes()),
        *trained.pipe([doc.text, doc.text], n_process=2, batch_size=1),
    ):
        assert other._.ask(WHO)[:3] == expected[:3]


@pytest.mark.parametrize("journey", [copy.deepcopy, lambda nlp: pickle.loads(pickle.dumps(nlp))])
def test_copies_answer_for_their_own_docs(trained, journey):
    copied = journey(trained)
    assert copied.vocab is not trained.vocab
    # before the copy has seen any doc
    assert copied.make_doc(toys.TEXTS[0])._.ask(WHO)[:3] == trained(toys.TEXTS[0])._.ask(WHO)[:3]
    with torch.no_grad():  # a copy with another answer shows who was asked
        copied.get_pipe("trf_qa").model.shims[0].module.scores.weight.neg_()
    assert copied(LONG)._.ask(WHO) != trained(LONG)._.ask(WHO)


def test_several_to_ask(tokenizer):
    nlp = initialized(tokenizer)
    nlp.add_pipe("trf_qa", name="second")
    toys.initialize(nlp)
    with pytest.raises(ValueError, match="E430.*Found 2"):
        nlp("Pell")._.ask(WHO)
    assert nlp.get_pipe("second").answer([nlp("Pell")], [WHO])
    gc.disable()
    try:
        nlp.remove_pipe("second")  # it is part of cycles, and still there
        assert isinstance(nlp("Pell")._.ask(WHO), Answer)
    finally:
        gc.enable()


def test_vocabularies_are_not_collected(trained):
    """Docs may come with a vocabulary each, of which a process cannot keep thousands."""
    nlp = copy.deepcopy(trained)
    known = _vocabs[nlp.get_pipe("trf_qa")]
    docs = [nlp(Doc(Vocab(), words=toys.TEXTS[0].split())) for _ in range(2 * MOST_VOCABS)]
    assert len(known) == 1 + MOST_VOCABS and known[0] is nlp.vocab
    assert docs[-1]._.ask(WHO) == nlp(toys.TEXTS[0])._.ask(WHO)


def test_sourced_components_answer_for_both_pipelines(trained):
    nlp = copy.deepcopy(trained)
    other = spacy.blank("en")
    for name in ("transformer", "trf_qa"):
        other.add_pipe(name, source=nlp)
    expected = nlp(toys.TEXTS[0])._.ask(WHO)
    assert other(toys.TEXTS[0])._.ask(WHO) == expected == nlp(toys.TEXTS[0])._.ask(WHO)


def test_pipelines_are_let_go(tokenizer):
    import weakref

    nlp = initialized(tokenizer)
    pipe, doc = weakref.ref(nlp.get_pipe("trf_qa")), nlp("Pell")
    del nlp
    gc.collect()
    assert pipe() is None
    with pytest.raises(ValueError, match="E430.*Found 0"):
        doc._.ask(WHO)


def test_a_name_that_is_taken_is_left_alone(tokenizer):
    Doc.set_extension("ask", default="theirs", force=True)
    try:
        with pytest.warns(UserWarning, match="W446"):
            nlp = build(tokenizer)
        assert nlp.make_doc("Pell")._.ask == "theirs"
    finally:
        Doc.set_extension("ask", method=ask, force=True)


def test_several_pipelines_side_by_side(tokenizer, trained):
    nlps = [trained, initialized(tokenizer, max_pieces=1), initialized(tokenizer, no_answer=False)]
    docs = [nlp(LONG) for nlp in nlps]
    for nlp, doc in itertools.chain(zip(nlps, docs, strict=True), zip(nlps, docs, strict=True)):
        assert doc._.ask(WHO) == nlp.get_pipe("trf_qa").answer([doc], [WHO])[0]
    assert isinstance(nlps[0].get_pipe("trf_qa"), QaPipe)
