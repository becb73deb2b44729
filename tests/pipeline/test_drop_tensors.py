"""What is left on docs at the end of a pipeline, and how memory grows with their number."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.tokens import DocBin

from spacy_llm_tasks.layers import listener
from spacy_llm_tasks.layers.doc_encoder import View
from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.pipeline.drop_tensors import NAME

from . import toys
from .battery import same

ENCODER = "transformer"


@pytest.fixture(scope="module")
def plain(tokenizer):
    """A pipeline that keeps everything."""
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_ner")
    reads_more = {"model": {"tok2vec": {**toys.LISTENER, "output": "pieces"}, "pooling": "pieces"}}
    nlp.add_pipe("trf_textcat", config=reads_more)
    nlp.add_pipe("trf_similarity")
    toys.overfit(nlp, steps=3)
    return nlp


@pytest.fixture(scope="module")
def folder(plain, tmp_path_factory):
    path = tmp_path_factory.mktemp("dropping")
    plain.add_pipe(NAME, last=True)
    plain.to_disk(path)
    plain.remove_pipe(NAME)
    return path


@pytest.fixture
def nlp(folder):
    return spacy.load(folder)


def snapshots(docs):
    return [{**toys.snapshot(doc), "tensor": []} for doc in docs]


def test_rows_are_gone_and_annotations_are_not(plain, nlp):
    expected = list(plain.pipe(toys.ODD_TEXTS))
    docs = list(nlp.pipe(toys.ODD_TEXTS))
    assert snapshots(docs) == snapshots(expected)
    assert all(doc.tensor.shape == (0,) for doc in docs)
    pieces = View("pieces")
    assert all(listener.recall(doc, ENCODER, pieces) is None for doc in docs)
    assert not any(doc in listener._side_table for doc in docs)
    assert all(listener.recall(doc, ENCODER, pieces) is not None for doc in expected)
    assert same(snapshots([nlp(text) for text in toys.TEXTS]), snapshots(expected[-2:]))
    assert snapshots(nlp.pipe(toys.ODD_TEXTS, n_process=2, batch_size=3)) == snapshots(
        plain.pipe(toys.ODD_TEXTS, batch_size=3)
    )


def test_streams_of_docs_with_contexts(nlp):
    found = list(nlp.pipe(((text, i) for i, text in enumerate(toys.TEXTS)), as_tuples=True))
    assert [i for _, i in found] == [0, 1]
    assert all(not doc.tensor.size and doc._.embedding is not None for doc, _ in found)


def test_vectors_of_docs(plain, nlp):
    first, second = nlp.pipe(toys.TEXTS)
    kept = list(plain.pipe(toys.TEXTS))
    np.testing.assert_array_equal(first.vector, kept[0].vector)
    assert first.has_vector and first.vector_norm == pytest.approx(1.0, abs=1e-5)
    assert first.similarity(second) == pytest.approx(kept[0].similarity(kept[1]), abs=1e-6)
    for copy in (pickle.loads(pickle.dumps(first)), first.copy()):
        np.testing.assert_array_equal(copy.vector, first.vector)
    (through,) = DocBin(store_user_data=True, docs=[first]).get_docs(nlp.vocab)
    np.testing.assert_array_equal(through._.embedding, first.vector)


def test_vectors_of_spans_are_refused(nlp):
    first, second = nlp.pipe(toys.TEXTS)
    for ask in (
        lambda: first[1:3].vector,
        lambda: first[1:3].similarity(second[2:4]),
        lambda: first.similarity(second[2:4]),
        lambda: pickle.loads(pickle.dumps(first))[1:3].vector,
    ):
        with pytest.raises(ValueError, match=f"E449.*{NAME}"):
            ask()
    assert not first[1:3].has_vector


def test_without_embeddings_spacy_answers(tokenizer):
    nlp = toys.empty_pipeline(tokenizer)
    toys.initialize(nlp)
    nlp.add_pipe(NAME)
    doc = nlp(toys.TEXTS[0])
    assert not doc.has_vector and not doc[1:3].has_vector
    assert not doc.vector.size and not doc[1:3].vector.size  # spaCy's own doc_cleaner: an error
    assert pickle.loads(pickle.dumps(doc)).text == doc.text


def test_questions_read_the_text_again(tokenizer):
    nlp = toys.empty_pipeline(tokenizer, window=30, stride=20)
    nlp.add_pipe("trf_qa")
    toys.overfit(nlp, steps=3)
    expected = nlp(toys.TEXTS[0])._.ask("Who sails ?")
    nlp.add_pipe(NAME)
    assert nlp(toys.TEXTS[0])._.ask("Who sails ?") == expected


def test_stock_heads_and_trf_data(tokenizer):
    pytest.importorskip("spacy_transformers")
    nlp = toys.empty_pipeline(tokenizer)
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": toys.TRF_LISTENER}
    nlp.add_pipe("tagger", config={"model": model})
    toys.overfit(nlp, steps=2)
    before = nlp(toys.TEXTS[0])
    assert before._.trf_data is not None
    nlp.add_pipe(NAME)
    after = nlp(toys.TEXTS[0])
    assert after._.trf_data is None and [t.tag_ for t in after] == [t.tag_ for t in before]


def test_in_front_of_a_head(tokenizer):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_textcat")
    toys.initialize(nlp)
    nlp.add_pipe(NAME, before="trf_textcat")
    with pytest.raises(ValueError, match=f"E407.*{NAME}"):
        nlp(toys.TEXTS[0])


def test_training_goes_on_with_it(tokenizer):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_textcat")
    optimizer = toys.initialize(nlp)
    nlp.add_pipe(NAME)
    first = nlp.update(toys.examples(nlp), sgd=optimizer, losses={})
    for _ in range(20):
        last = nlp.update(toys.examples(nlp), sgd=optimizer, losses={})
    assert last["trf_textcat"] < first["trf_textcat"]
    assert nlp.evaluate(toys.examples(nlp))["cats_score"] == 1.0


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel")
@pytest.mark.parametrize("kept", ["", "kept"])
def test_memory_over_ten_thousand_docs(folder, kept):
    """A stream takes no more at its end than in its middle; docs that are kept take what their
    annotations take. Without oneDNN, which keeps machine code for each shape that it has met."""
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.ten_thousand", str(folder), *([kept] if kept else [])],
        capture_output=True,
        text=True,
        cwd=tests,
        env={**os.environ, "PYTHONPATH": str(tests), kernels.ENVIRONMENT: "plain"},
    )
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)  # bytes, after each thousand docs
    assert len(sizes) == 10
    growth = (sizes[-1] - sizes[4]) / 5000  # bytes a doc
    # 110 tokens in 16 float32 numbers are 7 kB, and as many pieces as much again
    assert growth < (32_000 if kept else 1000)
