"""`trf_similarity`: vectors of docs and of texts, hooks, objectives."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from torch.nn import functional

from spacy_llm_tasks.annotations import Pair, set_pair
from spacy_llm_tasks.layers.encode import encode
from spacy_llm_tasks.layers.similarity_losses import cosent
from spacy_llm_tasks.pipeline import similarity
from spacy_llm_tasks.pipeline.similarity import SimilarityTask, attach

from . import toys

LONG = "Old Marta Quill sails from Pell to Lorne Bay every spring . " * 9
POOLINGS = ["mean", "cls", "max", "weighted"]


def build(tokenizer, *, head=None, encoder=None, **config):
    nlp = toys.empty_pipeline(tokenizer, **(encoder or {}))
    nlp.add_pipe("trf_similarity", config={"model": head or {}, **config})
    toys.initialize(nlp)
    return nlp


@pytest.fixture(scope="module")
def nlp(tokenizer):
    return build(tokenizer)


# Vectors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("stride", [3, 7, 8, 12])
def test_equal_texts_have_equal_vectors(tokenizer, pooling, stride):
    """As a doc and as a text, whole or in windows, alone and in any company."""
    nlp = build(tokenizer, head={"pooling": pooling}, encoder={"stride": stride})
    texts = [*toys.ODD_TEXTS, LONG]
    docs = list(nlp.pipe(texts))
    found = nlp.get_pipe("trf_similarity").embed(texts)
    assert found.dtype == np.float32 and found.shape == (len(texts), toys.WIDTH)
    for doc, vector in zip(docs, found, strict=True):
        np.testing.assert_allclose(doc._.embedding, vector, atol=1e-5)
        alone = nlp.get_pipe("trf_similarity").embed([doc.text])[0]
        np.testing.assert_allclose(alone, vector, atol=1e-5)
        if pooling in ("mean", "cls") or doc.text.strip():
            assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
        else:  # nothing to take a maximum of
            assert not vector.any() and not doc.has_vector


@pytest.mark.parametrize("layer", [0, 1])
def test_texts_are_read_to_the_layer_that_docs_are(tokenizer, layer):
    head = {"tok2vec": {**toys.LISTENER, "layer": layer}}
    nlp = build(tokenizer, head=head)
    found = nlp.get_pipe("trf_similarity").embed([LONG, "Pell"])
    other = build(tokenizer).get_pipe("trf_similarity").embed([LONG, "Pell"])
    for doc, vector in zip(nlp.pipe([LONG, "Pell"]), found, strict=True):
        np.testing.assert_allclose(doc._.embedding, vector, atol=1e-5)
    assert not np.allclose(found, other, atol=1e-4)


def test_the_mean_is_over_all_pieces(nlp):
    encoded, _ = encode(nlp.get_pipe("transformer").model, [toys.TEXTS[0]])
    mean = encoded.rows.mean(dim=0).numpy()
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(nlp(toys.TEXTS[0])._.embedding, expected, atol=1e-5)


def test_many_texts_in_groups(nlp, monkeypatch):
    texts = [*toys.ODD_TEXTS, LONG] * 3
    pipe = nlp.get_pipe("trf_similarity")
    expected = pipe.embed(texts)
    for limit in (1, 100):
        monkeypatch.setattr(similarity, "CHARACTERS_PER_GROUP", limit)
        np.testing.assert_allclose(pipe.embed(texts), expected, atol=1e-5)
    np.testing.assert_allclose(pipe.embed(iter(texts)), expected, atol=1e-5)


def test_no_texts(tokenizer, nlp):
    assert nlp.get_pipe("trf_similarity").embed([]).shape == (0, toys.WIDTH)
    short = build(tokenizer, keep=3)
    assert short.get_pipe("trf_similarity").embed([]).shape == (0, 3)
    with pytest.raises(ValueError, match="E217"):
        nlp.get_pipe("trf_similarity").embed("Pell")


def test_keep(tokenizer, nlp):
    short = copy.deepcopy(nlp)
    short.get_pipe("trf_similarity").task.keep = 5
    full = nlp(toys.TEXTS[0])._.embedding
    found = short(toys.TEXTS[0])._.embedding
    np.testing.assert_allclose(found, full[:5] / np.linalg.norm(full[:5]), atol=1e-6)


@pytest.mark.parametrize(
    "config, error",
    [
        ({"dims": [4, 17]}, "E447.*dims = 17.*16"),
        ({"keep": 17}, "E447.*keep = 17.*16"),
        ({"keep": 9, "head": {"vector_width": 8}}, "E447.*keep = 9.*8 numbers"),
        ({"dims": [0]}, "E425.*dims"),
        ({"keep": 0}, "E425.*keep"),
        ({"temperature": 0.0}, "E425.*temperature"),
        ({"objective": "angle", "head": {"vector_width": 7}}, "E448.*7 is odd"),
        ({"objective": "angle", "dims": [4, 5]}, "E448.*5 is odd"),
        ({"objective": "cosines"}, "objective"),
        ({"head": {"vector_width": 0}}, "E425.*vector_width"),
        ({"head": {"pooling": "sum"}}, "pooling"),
    ],
)
def test_settings_that_do_not_fit(tokenizer, config, error):
    with pytest.raises(ValueError, match=error):
        build(tokenizer, **config)


def test_a_setting_that_does_not_fit_at_load_time(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path, config={"components.trf_similarity.keep": 4})
    assert loaded("Pell")._.embedding.shape == (4,)
    with pytest.raises(ValueError, match="E447"):
        spacy.load(tmp_path, config={"components.trf_similarity.keep": 400})


# Hooks -------------------------------------------------------------------------------------------


def test_vectors_of_docs_and_spans(nlp):
    doc, other = nlp.pipe(toys.TEXTS)
    assert doc.vector.tolist() == doc._.embedding.tolist() and doc.has_vector
    assert doc.vector_norm == pytest.approx(1.0)
    assert doc.similarity(other) == pytest.approx(float(doc.vector @ other.vector), abs=1e-6)
    assert doc.similarity(doc) == pytest.approx(1.0)
    span, whole = doc[1:3], doc[:]
    mean = doc.tensor[1:3].mean(axis=0)
    np.testing.assert_allclose(span.vector, mean / np.linalg.norm(mean), atol=1e-6)
    assert span.has_vector and span.vector_norm == pytest.approx(1.0)
    for a, b in ((span, other), (whole, span), (doc, span), (span, other[2:4])):
        assert a.similarity(b) == pytest.approx(float(a.vector @ b.vector), abs=1e-5)
        assert a.similarity(b) == pytest.approx(b.similarity(a), abs=1e-5)
    empty = doc[3:3]
    assert not empty.has_vector and empty.vector.shape == (toys.WIDTH,)
    assert doc.similarity(empty) == empty.similarity(doc) == 0.0


def test_vectors_of_tokens_stay_those_of_spacy(nlp):
    doc = nlp(toys.TEXTS[0])
    np.testing.assert_array_equal(doc[2].vector, doc.tensor[2])


def test_a_projection_sets_docs_apart_from_spans(tokenizer):
    nlp = build(tokenizer, head={"vector_width": 6})
    doc, other = nlp.pipe(toys.TEXTS)
    assert doc.vector.shape == (6,) and -1.0 <= doc.similarity(other) <= 1.0
    assert doc[1:3].similarity(other[2:4])
    with pytest.raises(ValueError, match="E431.*6 numbers.*16"):
        doc.similarity(doc[1:3])


def hooked(doc):
    return doc.user_hooks.keys() | doc.user_span_hooks.keys()


def test_hooks_survive_pickle_and_copy(nlp):
    doc = nlp(toys.TEXTS[0])
    for other in (doc.copy(), pickle.loads(pickle.dumps(doc))):
        assert hooked(other) == hooked(doc) and other.similarity(doc) == pytest.approx(1.0)
        assert other.vector.tolist() == doc.vector.tolist()


def test_attach_brings_hooks_back(nlp):
    docs = list(nlp.pipe(toys.TEXTS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_bytes = [Doc(nlp.vocab).from_bytes(doc.to_bytes()) for doc in docs]
        by_process = list(nlp.pipe(toys.TEXTS, n_process=2, batch_size=1))
    stored = DocBin(docs=docs, store_user_data=True).to_bytes()
    by_docbin = list(DocBin().from_bytes(stored).get_docs(nlp.vocab))
    for others in (by_bytes, by_docbin, by_process):
        assert not any(hooked(doc) for doc in others)
        attached = attach(iter(others), nlp)
        for doc, other, same in zip(docs, attached, others, strict=True):
            assert other is same and hooked(other) == hooked(doc)
            np.testing.assert_allclose(other.vector, doc.vector, atol=1e-6)
    span = by_docbin[0][1:3]  # a DocBin has no tensor
    assert span.vector.shape == (0,) and not span.has_vector and span.similarity(docs[0]) == 0.0
    np.testing.assert_allclose(by_bytes[0][1:3].vector, docs[0][1:3].vector, atol=1e-6)


def test_attach_to_whom_and_by_whom(nlp):
    bare = nlp.make_doc("Pell")
    assert attach([bare], nlp) == [bare] and not hooked(bare)
    with pytest.raises(ValueError, match="E430.*Found 0.*trf_similarity"):
        attach([], spacy.blank("en"))


# Objectives --------------------------------------------------------------------------------------


def example(nlp, text, *pair):
    gold = nlp.make_doc(text)
    if pair:
        set_pair(gold, pair)
    return Example(nlp.make_doc(text), gold)


def loss_of(task, examples, vectors, *, seed=0):
    """The task's loss where every text has a vector of its own, and its targets."""
    targets = task.targets(examples)
    texts = [eg.reference.text for eg in examples] + targets.texts
    return task.loss(torch.stack([vectors(text) for text in texts]), targets), targets


def vectors(text):
    generator = torch.Generator().manual_seed(sum(map(ord, text)))
    return torch.randn(6, generator=generator, dtype=torch.float64)


def cosine(a, b):
    return float(functional.cosine_similarity(vectors(a), vectors(b), dim=0))


@pytest.mark.parametrize("objective", ["ranking", "cosent", "angle", "cosine"])
def test_hard_negatives(nlp, objective):
    data = [
        example(nlp, "aa", "bb", 0.9, ["cc", "dd"]),
        example(nlp, "ee"),
        example(nlp, "ff", "gg", 0.8, ["dd"]),
        example(nlp, "hh", "ii", 0.2),
    ]
    task = SimilarityTask(objective=objective, temperature=0.5)
    loss, targets = loss_of(task, data, vectors)
    if objective != "ranking":  # pairs of grade 0
        apart = [
            example(nlp, *pair)
            for pair in (
                ("aa", "bb", 0.9),
                ("aa", "cc", 0.0),
                ("aa", "dd", 0.0),
                ("ff", "gg", 0.8),
                ("ff", "dd", 0.0),
                ("hh", "ii", 0.2),
            )
        ]
        assert targets.docs.tolist() == [0, 0, 0, 2, 2, 3]
        expected, wanted = loss_of(task, apart, vectors)
        assert targets.texts == wanted.texts
        assert targets.grades.tolist() == wanted.grades.tolist()
        assert loss.item() == pytest.approx(expected.item())
        return
    assert targets.docs.tolist() == [0, 2, 3]
    assert targets.texts == ["bb", "gg", "ii", "cc", "dd"]
    candidates, total = ["bb", "gg", "ii", "cc", "dd"], 0.0
    for text, partner in (("aa", "bb"), ("ff", "gg")):
        row = sum(math.exp(2 * cosine(text, other)) for other in candidates)
        column = sum(math.exp(2 * cosine(other, partner)) for other in ("aa", "ff"))
        total += math.log(row) + math.log(column) - 4 * cosine(text, partner)
    assert loss.item() == pytest.approx(total / 4)


def test_what_belongs_together_is_not_pushed_apart(nlp):
    """Equal texts, other partners of the same text, and the text itself are no negatives."""
    data = [
        example(nlp, "aa", "bb", 1.0),
        example(nlp, "aa", "cc", 1.0, ["bb", "dd"]),  # bb is its partner in another pair
        example(nlp, "ee", "bb", 1.0),
        example(nlp, "bb", "aa", 1.0),
        example(nlp, "ff", "aa", 0.1),
    ]
    task = SimilarityTask(objective="ranking")
    targets = task.targets(data)
    assert targets.texts == ["bb", "cc", "bb", "aa", "aa", "bb", "dd"]
    assert targets.related.int().tolist() == [
        [1, 1, 1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 0],
        [1, 0, 1, 0, 0, 1, 0],
        [1, 0, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]
    loss, _ = loss_of(task, data, vectors)
    assert math.isfinite(loss.item()) and loss.item() > 0


@pytest.mark.parametrize("objective", ["ranking", "simcse", "cosent", "angle", "cosine"])
def test_batches_that_teach_nothing(nlp, objective):
    task = SimilarityTask(objective=objective)
    assert task.targets([example(nlp, ""), example(nlp, " ")]) is None
    if objective == "ranking":
        assert task.targets([example(nlp, "aa", "bb", 0.4, ["cc"])]) is None
    alone = [example(nlp, "aa", "bb", 1.0)]
    loss, _ = loss_of(task, alone, vectors)
    assert loss.item() == pytest.approx(
        0.0 if objective != "cosine" else (cosine("aa", "bb") - 1) ** 2
    )
    if objective in ("ranking", "simcse"):  # the same text twice
        assert loss_of(task, alone * 2, vectors)[0].item() == pytest.approx(0.0)


def test_raw_text_is_enough_for_simcse(tokenizer):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_similarity", config={"objective": "simcse"})
    data = [*toys.unannotated(nlp), example(nlp, ""), example(nlp, "Pell to Vask")]
    optimizer = toys.initialize(nlp, lambda: data)
    targets = nlp.get_pipe("trf_similarity").task.targets(data)
    assert targets.docs.tolist() == [0, 1, 3] and targets.texts[2] == "Pell to Vask"
    losses = [
        nlp.update(data, sgd=optimizer, drop=0.2, losses={})["trf_similarity"] for _ in range(12)
    ]
    assert sum(losses[-3:]) < sum(losses[:3])


@pytest.mark.parametrize("settings", [{"dims": [2, 4]}, {"dims": [4, 2, 4], "keep": 2}])
def test_first_numbers_are_trained_for_themselves(nlp, settings):
    data = [example(nlp, "aa", "bb", 0.9), example(nlp, "cc", "dd", 0.1)]
    loss, _ = loss_of(SimilarityTask(temperature=0.5, **settings), data, vectors)
    gold, expected = torch.tensor([0.9, 0.1]), []
    for width in (2, 4, 6):
        a, b = (
            functional.normalize(torch.stack([vectors(text)[:width] for text in texts]))
            for texts in (("aa", "cc"), ("bb", "dd"))
        )
        expected.append(cosent((a * b).sum(dim=1), gold, scale=2.0))
    assert loss.item() == pytest.approx(torch.stack(expected).mean().item())


@pytest.mark.parametrize("objective", ["ranking", "cosine", "angle"])
def test_objectives_are_learned(tokenizer, objective):
    nlp = build(tokenizer, head={"vector_width": 8}, objective=objective, dims=[4])
    data = toys.examples(nlp)
    for eg, negatives in zip(data, (["Pell"], ["Lorne Bay", "Vask"]), strict=True):
        set_pair(eg.reference, Pair(eg.reference._.pair.text, eg.reference._.pair.score, negatives))
    optimizer = nlp.resume_training()
    losses = [nlp.update(data, sgd=optimizer, losses={})["trf_similarity"] for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


# Scores ------------------------------------------------------------------------------------------


def test_scores(nlp):
    data = [
        example(nlp, text, other, score)
        for text, other, score in (
            ("Pell", "Pell", 1.0),
            ("Marta sails", "Why did Ivo leave", 0.4),
            ("a word", "every spring", 0.0),
        )
    ]
    scores = nlp.evaluate([*data, *toys.unannotated(nlp)])
    cosines = [nlp(eg.reference.text).similarity(nlp(eg.reference._.pair.text)) for eg in data]
    expected = np.corrcoef(cosines, [1.0, 0.4, 0.0])[0, 1]
    assert scores["sim_pearson"] == pytest.approx(expected, abs=1e-4)
    # Docs that no component has read are read now.
    assert nlp.get_pipe("trf_similarity").score(data)["sim_pearson"] == pytest.approx(
        expected, abs=1e-4
    )


def test_negatives_are_scored_as_pairs_of_grade_0(nlp):
    pipe = nlp.get_pipe("trf_similarity")
    pairs = [("Pell", "Pell", 1.0), ("Pell", "a word", 0.0), ("Marta sails", "Why", 0.4)]
    expected = pipe.score([example(nlp, *pair) for pair in pairs])
    triplets = [example(nlp, "Pell", "Pell", 1.0, ["a word"]), example(nlp, *pairs[2])]
    assert pipe.score(triplets) == pytest.approx(expected)
    assert nlp.evaluate(triplets)["sim_pearson"] == pytest.approx(expected["sim_pearson"], abs=1e-4)


def test_scores_that_do_not_exist(nlp):
    missing = {"sim_spearman": None, "sim_pearson": None}
    pipe = nlp.get_pipe("trf_similarity")
    assert pipe.score(toys.unannotated(nlp)) == missing
    constant = [example(nlp, text, "Pell", 0.5) for text in toys.TEXTS]
    assert pipe.score(constant) == missing
    assert pipe.score(constant[:1]) == missing
    assert nlp.evaluate(constant)["sim_spearman"] is None
