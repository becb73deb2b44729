"""What spaCy asks of its own `tok2vec` component, asked of ours in its place and under its name."""

import numpy as np
import pytest
import spacy
from spacy.lang.en import English
from spacy.pipeline.tok2vec import Tok2Vec, Tok2VecListener
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model_from_config

from spacy_llm_tasks.pipeline.encoder import EncoderComponent

from . import toys
from .battery import stock_config

NAME = "tok2vec"
ARCHITECTURE = "spacy_llm_tasks.Transformer.v1"
SENTENCES = {
    "Otters juggle smooth pebbles": (["N", "V", "J", "N"], {"fact": 1.0, "order": 0.0}),
    "Bring cold soup": (["V", "J", "N"], {"fact": 0.0, "order": 1.0}),
}


def build(tokenizer, *heads):
    nlp = toys.empty_pipeline(tokenizer, name=NAME)
    for head in heads:
        nlp.add_pipe(head, config=stock_config(head, toys.STOCK_LISTENER))
    return nlp


def data(nlp):
    return [
        Example.from_dict(nlp.make_doc(text), {"tags": tags, "cats": cats})
        for text, (tags, cats) in SENTENCES.items()
    ]


def start(nlp, examples=None):
    return toys.initialize(nlp, lambda: examples or data(nlp))


def listens(nlp, name):
    model = nlp.get_pipe(name).model
    return any(isinstance(node, Tok2VecListener) for node in model.walk())


def tags(nlp, text="Otters juggle smooth pebbles"):
    return [token.tag_ for token in nlp(text)]


def test_layer_on_an_empty_doc(tokenizer):
    nlp = build(tokenizer)
    start(nlp)
    rows, backprop = nlp.get_pipe(NAME).model.begin_update([Doc(nlp.vocab, words=[])])
    assert [r.shape for r in rows] == [(0, toys.WIDTH)]
    backprop(rows)


@pytest.mark.parametrize("n_docs", [1, 2, 5])
def test_layer_on_batches(tokenizer, n_docs):
    nlp = build(tokenizer)
    start(nlp)
    docs = [Doc(nlp.vocab, words=["Otters"] * (i + 1)) for i in range(n_docs)]
    rows, backprop = nlp.get_pipe(NAME).model.begin_update(docs)
    assert [r.shape for r in rows] == [(i + 1, toys.WIDTH) for i in range(n_docs)]
    backprop(rows)


def test_alone(tokenizer):
    nlp = build(tokenizer)
    encoder = nlp.get_pipe(NAME)
    assert isinstance(encoder, Tok2Vec) and isinstance(encoder, EncoderComponent)
    assert encoder.listeners == []
    start(nlp)
    assert encoder.model.get_dim("nO") == toys.WIDTH
    losses = nlp.update(data(nlp), losses={})
    assert losses == {NAME: 0.0}


def test_listener(tokenizer):
    nlp = build(tokenizer, "tagger")
    listener = nlp.get_pipe("tagger").model.get_ref("tok2vec")
    assert isinstance(listener, Tok2VecListener)
    optimizer = start(nlp)
    assert nlp.get_pipe(NAME).listeners == [listener]
    for _ in range(3):
        nlp.update(data(nlp), sgd=optimizer)
    doc = nlp("Otters bring the whole soup.")
    np.testing.assert_array_equal(doc.tensor, listener.predict([doc])[0])
    assert len(nlp("")) == 0
    with nlp.select_pipes(disable=NAME):
        assert nlp.pipe_names == ["tagger"]
        nlp("Otters without an encoder.")  # a stock head predicts on zeros


def test_callback(tokenizer):
    nlp = build(tokenizer, "tagger")
    start(nlp)
    docs = [nlp.make_doc("Quite another sentence")]
    nlp.get_pipe(NAME).update([Example.from_dict(doc, {}) for doc in docs])
    scores, backprop = nlp.get_pipe("tagger").model.begin_update(docs)
    assert backprop(scores) is not None


@pytest.mark.parametrize("options", [{}, {"annotates": [NAME]}])
@pytest.mark.parametrize("frozen", [False, True])
def test_overfits(tokenizer, tmp_path, options, frozen):
    nlp = build(tokenizer, "tagger")
    optimizer = start(nlp)
    if frozen:
        options = {"annotates": [NAME], "exclude": [NAME]}
    for _ in range(150):
        losses = nlp.update(data(nlp), sgd=optimizer, losses={}, **options)
    assert losses["tagger"] < 0.2
    assert tags(nlp) == ["N", "V", "J", "N"]
    nlp.to_disk(tmp_path)
    assert tags(spacy.load(tmp_path)) == ["N", "V", "J", "N"]


def test_frozen_without_annotating(tokenizer):
    nlp = build(tokenizer, "tagger")
    optimizer = start(nlp)
    for _ in range(2):
        with pytest.raises(ValueError, match="embedding layer is not updated"):
            nlp.update(data(nlp), sgd=optimizer, exclude=[NAME])


def test_replace_listeners(tokenizer):
    nlp = build(tokenizer, "tagger")
    optimizer = start(nlp)
    encoder = nlp.get_pipe(NAME)
    assert encoder.listener_map["tagger"] == [nlp.get_pipe("tagger").model.get_ref("tok2vec")]
    nlp.replace_listeners(NAME, "tagger", ["model.tok2vec"])
    assert not listens(nlp, "tagger") and encoder.listeners == []
    shared = nlp.config["components"][NAME]["model"]
    assert shared["@architectures"] == ARCHITECTURE
    assert nlp.config["components"]["tagger"]["model"]["tok2vec"] == shared
    for upstream, head, path in [
        ("nobody", "tagger", ["model.tok2vec"]),
        (NAME, "parser", ["model.tok2vec"]),
        (NAME, "tagger", ["model.nothing"]),
        (NAME, "tagger", ["model.tok2vec", "model.nothing"]),
    ]:
        with pytest.raises(ValueError):
            nlp.replace_listeners(upstream, head, path)
    optimizer = start(nlp)
    for _ in range(2):
        losses = nlp.update(data(nlp), sgd=optimizer, losses={})
        assert losses[NAME] == 0.0 and losses["tagger"] > 0.0


def test_replaced_copy_has_moments_of_its_own(tokenizer):
    """The shared encoder and a head's copy of it are stepped under different keys."""
    nlp = build(tokenizer, "tagger")
    nlp.add_pipe("tagger", name="other", config=stock_config("tagger", toys.STOCK_LISTENER))
    optimizer = start(nlp)
    nlp.replace_listeners(NAME, "tagger", ["model.tok2vec"])
    for _ in range(2):
        nlp.update(data(nlp), sgd=optimizer)
    shims = [
        shim.id for _, pipe in nlp.pipeline for node in pipe.model.walk() for shim in node.shims
    ]
    assert len(set(shims)) == len(shims) == 2
    assert set(shims) <= {key[0] for key in optimizer.mom1}


def test_replace_listeners_from_config(tokenizer, tmp_path):
    nlp = build(tokenizer, "tagger", "ner")
    annotations = {"tags": ["N", "V"], "entities": [(0, 6, "ANIMAL")]}
    examples = [Example.from_dict(nlp.make_doc("Otters juggle"), annotations)]
    start(nlp, examples)
    assert nlp.get_pipe(NAME).listening_components == ["tagger", "ner"]
    nlp.to_disk(tmp_path)
    source = {"source": str(tmp_path)}
    config = {
        "nlp": {"lang": "en", "pipeline": [NAME, "own", "shared", "again"]},
        "components": {
            NAME: source,
            "own": {**source, "component": "tagger", "replace_listeners": ["model.tok2vec"]},
            "shared": {**source, "component": "ner"},
            "again": {**source, "component": "tagger"},
        },
    }
    mixed = load_model_from_config(config, auto_fill=True)
    mixed.initialize(lambda: examples)
    assert mixed.get_pipe(NAME).listening_components == ["shared", "again"]
    assert [listens(mixed, n) for n in ("own", "shared", "again")] == [False, True, True]
    components = mixed.config["components"]
    assert components[NAME]["model"]["@architectures"] == ARCHITECTURE
    assert components["own"]["model"]["tok2vec"] == components[NAME]["model"]
    listener = components["shared"]["model"]["tok2vec"]["@architectures"]
    assert listener == "spacy.Tok2VecListener.v1"
    np.testing.assert_array_equal(mixed("Otters juggle").tensor, nlp("Otters juggle").tensor)


def test_two_heads_of_different_kinds(tokenizer):
    nlp = build(tokenizer)
    nlp.add_pipe("textcat_multilabel", config=multilabel_config())
    nlp.add_pipe("tagger", config=stock_config("tagger", toys.STOCK_LISTENER))
    optimizer = start(nlp)
    for _ in range(50):
        nlp.update(data(nlp), sgd=optimizer)
    docs = list(nlp.pipe(SENTENCES))
    for doc, (wanted, cats) in zip(docs, SENTENCES.values(), strict=True):
        assert [token.tag_ for token in doc] == wanted
        assert {label: round(value) for label, value in doc.cats.items()} == cats


def multilabel_config():
    config = stock_config("textcat", toys.STOCK_LISTENER)
    config["model"]["linear_model"]["exclusive_classes"] = False
    return config


def test_sourced_under_another_name(tokenizer):
    """Components belong to the pipeline that changed last, as spaCy's own do."""
    first = build(tokenizer, "tagger", "ner")
    assert first.get_pipe(NAME).listening_components == ["tagger", "ner"]
    second = English()
    second.add_pipe(NAME, source=first)
    second.add_pipe("tagger", name="tagger2", source=first)
    encoder = second.get_pipe(NAME)
    assert encoder is first.get_pipe(NAME)
    assert first.get_pipe("tagger").name == second.get_pipe("tagger2").name == "tagger2"
    assert encoder.listening_components == ["tagger2"]
    second.add_pipe("ner", name="ner3", source=first)
    assert encoder.listening_components == ["tagger2", "ner3"]
    second.remove_pipe("ner3")
    assert encoder.listening_components == ["tagger2"]
    second.remove_pipe("tagger2")
    assert encoder.listening_components == []
    first.add_pipe("sentencizer")
    assert encoder.listening_components == ["tagger", "ner"]
    second.add_pipe("sentencizer")
    assert encoder.listening_components == []


def test_sourced_after_replacing(tokenizer):
    first = build(tokenizer, "tagger", "ner")
    start(first, toys.examples(first))
    first.replace_listeners(NAME, "tagger", ["model.tok2vec"])
    assert first.get_pipe(NAME).listening_components == ["ner"]
    second = English()
    second.add_pipe(NAME, source=first)
    second.add_pipe("tagger", source=first)
    assert second.get_pipe(NAME).listening_components == []
    second.add_pipe("ner", name="ner2", source=first)
    assert second.get_pipe(NAME).listening_components == ["ner2"]
