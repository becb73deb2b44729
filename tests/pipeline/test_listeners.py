"""Stock components learn the same on our encoder through every kind of listener."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example

from . import toys
from .battery import same, stock_config

pytest.importorskip("spacy_transformers")

HEADS = ["tagger", "parser", "ner", "textcat", "spancat"]
LISTENERS = {
    "spacy": toys.STOCK_LISTENER,
    "spacy-transformers": toys.TRF_LISTENER,
    "ours": toys.LISTENER,
}


def build(tokenizer, listeners):
    nlp = toys.empty_pipeline(tokenizer)
    for name, listener in zip(HEADS, listeners, strict=True):
        nlp.add_pipe(name, config=stock_config(name, listener))
    return nlp


def train(tokenizer, listeners, *, steps=6, **options):
    nlp = build(tokenizer, listeners)
    optimizer = toys.initialize(nlp)
    history = []
    for _ in range(steps):
        losses = nlp.update(toys.examples(nlp), sgd=optimizer, losses={}, drop=0.1, **options)
        history.append(losses)
    return nlp, history


def snapshots(nlp):
    return [toys.snapshot(doc) for doc in nlp.pipe(toys.ODD_TEXTS)]


@pytest.fixture(scope="module")
def by_kind(tokenizer):
    made = {kind: train(tokenizer, [x] * len(HEADS)) for kind, x in LISTENERS.items()}
    made["mixed"] = train(tokenizer, [*LISTENERS.values(), *LISTENERS.values()][: len(HEADS)])
    return made


@pytest.mark.parametrize("kind", ["spacy-transformers", "ours", "mixed"])
def test_equal_losses_and_predictions(by_kind, kind):
    nlp, losses = by_kind[kind]
    expected_nlp, expected = by_kind["spacy"]
    for step, (found, wanted) in enumerate(zip(losses, expected, strict=True)):
        assert found.keys() == wanted.keys()
        for name in wanted:
            assert found[name] == pytest.approx(wanted[name], abs=1e-6, rel=1e-6), (step, name)
    assert same(snapshots(nlp), snapshots(expected_nlp))


def test_trf_data_only_for_its_listeners(by_kind):
    doc = by_kind["spacy-transformers"][0](toys.TEXTS[0])
    state = doc._.trf_data.model_output.last_hidden_state
    np.testing.assert_array_equal(state[0], doc.tensor)
    assert by_kind["ours"][0](toys.TEXTS[0])._.trf_data is None


@pytest.mark.parametrize("kind", ["spacy", "spacy-transformers", "ours"])
def test_empty_docs_in_training(tokenizer, kind):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("tagger", config=stock_config("tagger", LISTENERS[kind]))
    optimizer = toys.initialize(nlp)
    empty = Example(nlp.make_doc(""), Doc(nlp.vocab))
    nlp.update(toys.examples(nlp), sgd=optimizer)  # a fresh tagger's weights are zeros
    losses = nlp.update([empty, *toys.examples(nlp), empty], sgd=optimizer, losses={})
    assert losses["tagger"] > 0 and losses["transformer"] > 0


@pytest.mark.parametrize("kind", ["spacy", "spacy-transformers", "ours"])
def test_replaced_saved_and_trained(by_kind, kind, tmp_path):
    nlp = by_kind[kind][0]
    path = tmp_path / "shared"
    nlp.to_disk(path)
    nlp = spacy.load(path)
    expected = snapshots(nlp)
    for name in HEADS:
        nlp.replace_listeners("transformer", name, ["model.tok2vec"])
    assert same(snapshots(nlp), expected)
    nlp.to_disk(tmp_path / "replaced")
    loaded = spacy.load(tmp_path / "replaced")
    assert same(snapshots(loaded), expected)
    losses = loaded.update(toys.examples(loaded), sgd=loaded.resume_training(), losses={})
    assert losses["transformer"] == 0.0 and losses["tagger"] > 0.0


@pytest.mark.parametrize("kind", ["spacy", "spacy-transformers", "ours"])
def test_frozen_encoder(tokenizer, kind):
    nlp = build(tokenizer, [LISTENERS[kind]] * len(HEADS))
    optimizer = toys.initialize(nlp)
    before = nlp.get_pipe("transformer").model.to_bytes()
    options = {"exclude": ["transformer"], "annotates": ["transformer"], "sgd": optimizer}
    first = nlp.update(toys.examples(nlp), losses={}, **options)
    for _ in range(5):
        last = nlp.update(toys.examples(nlp), losses={}, **options)
    assert nlp.get_pipe("transformer").model.to_bytes() == before
    assert last["tagger"] < first["tagger"]


def test_wrong_width(tokenizer):
    nlp = toys.empty_pipeline(tokenizer)
    narrow = {**toys.STOCK_LISTENER, "width": 7}
    with pytest.raises(ValueError, match="E409.*7.*16"):
        nlp.add_pipe("tagger", config=stock_config("tagger", narrow))
        toys.initialize(nlp)


def test_upstream_by_name(tokenizer):
    """A listener names its encoder where there are several."""
    nlp = toys.empty_pipeline(tokenizer, name="first")
    second = {"model": {**toys.ENCODER, "depth": 1}}
    nlp.add_pipe("trf_encoder", name="second", config=second)
    nlp.config["initialize"]["components"]["second"] = {"tokenizer": str(tokenizer)}
    heads = {"first": "cls", "second": "pieces"}
    for upstream, pooling in heads.items():
        head = {"@architectures": "spacy_llm_tasks.TextCatHead.v1", "pooling": pooling}
        head["tok2vec"] = {**toys.LISTENER, "upstream": upstream}
        nlp.add_pipe("trf_textcat", name=f"by_{upstream}", config={"model": head})
    toys.initialize(nlp)
    for upstream in heads:
        assert nlp.get_pipe(upstream).listening_components == [f"by_{upstream}"]
    losses = nlp.update(toys.examples(nlp), losses={})
    assert losses["first"] > 0 and losses["second"] > 0
    assert set(nlp("Pell").cats) == {"story", "question"}


@pytest.mark.parametrize("pooling", ["cls", "pieces"])
def test_inner_rows_on_a_foreign_upstream(pooling):
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    head = {"@architectures": "spacy_llm_tasks.TextCatHead.v1", "pooling": pooling}
    head["tok2vec"] = {"@architectures": "spacy.Tok2VecListener.v1", "width": 96}
    with pytest.raises(ValueError, match="E416"):
        nlp.add_pipe("trf_textcat", config={"model": head})


def test_our_heads_on_a_foreign_upstream():
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 96}
    for factory, architecture in [("trf_ner", "SpanHead"), ("trf_textcat", "TextCatHead")]:
        head = {"@architectures": f"spacy_llm_tasks.{architecture}.v1", "tok2vec": listener}
        nlp.add_pipe(factory, config={"model": head})
    optimizer = toys.initialize(nlp)
    for _ in range(60):
        losses = nlp.update(toys.examples(nlp), sgd=optimizer, losses={})
    assert losses["tok2vec"] > 0
    scores = nlp.evaluate(toys.examples(nlp))
    assert (scores["ents_f"], scores["cats_score"]) == (1.0, 1.0)


def test_inner_layer(tokenizer):
    """`layer = 0` gives the embeddings, which no other token changes much less reads."""
    nlp = toys.empty_pipeline(tokenizer)
    head = {"@architectures": "spacy_llm_tasks.TextCatHead.v1", "ngram_size": 0}
    head["tok2vec"] = {**toys.LISTENER, "layer": 1}
    nlp.add_pipe("trf_textcat", config={"model": head})
    optimizer = toys.initialize(nlp)
    module = nlp.get_pipe("transformer").model.shims[0].module
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    nlp.update(toys.examples(nlp), sgd=optimizer)
    changed = {n for n, p in module.named_parameters() if not (p == before[n]).all()}
    layers = {module.layer_of(name) for name in changed}
    assert layers == {0, 1}


BLOCKED = """
import sys
for name in ("transformers", "spacy_transformers"):
    sys.modules[name] = None
import importlib.metadata
real = importlib.metadata.distributions
def without(**options):
    return (d for d in real(**options) if d.name not in ("spacy-transformers", "transformers"))
importlib.metadata.distributions = without
import json, spacy
nlp = spacy.blank("en")
nlp.add_pipe("trf_encoder")
nlp = spacy.load(sys.argv[1])
docs = list(nlp.pipe(["Old Marta Quill sails .", ""]))
losses = nlp.update([spacy.training.Example(nlp.make_doc(docs[0].text), docs[0])], losses={})
loaded = [n for n in sys.modules if n.split(".")[0] in ("transformers", "spacy_transformers")]
print(json.dumps([docs[0].tensor.tolist(), docs[0].cats, sorted(loaded)]))
"""


def test_works_without_transformers(tokenizer, tmp_path):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_ner")
    nlp.add_pipe("trf_textcat")
    toys.overfit(nlp, steps=1)
    nlp.to_disk(tmp_path / "pipeline")
    run = subprocess.run(
        [sys.executable, "-c", BLOCKED, tmp_path / "pipeline"],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert run.returncode == 0, run.stderr
    tensor, cats, loaded = json.loads(run.stdout.splitlines()[-1])
    doc = nlp("Old Marta Quill sails .")
    assert same(tensor, doc.tensor.tolist()) and same(cats, dict(doc.cats))
    assert loaded == ["spacy_transformers", "transformers"]  # the two blocked names alone
