"""What only a machine with a CUDA device can show: run with `pytest -m gpu`."""

import numpy as np
import pytest
import spacy
import torch
from thinc.api import NumpyOps, get_current_ops, set_current_ops, to_numpy

from .toys import TEXTS, TRF_LISTENER, empty_pipeline, examples, initialize

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture
def on_gpu():
    before = get_current_ops()
    spacy.require_gpu()
    yield
    set_current_ops(before)


def trained(tokenizer, *, steps=30):
    nlp = empty_pipeline(tokenizer)
    nlp.add_pipe("trf_ner")
    nlp.add_pipe("trf_textcat")
    nlp.add_pipe("tagger", config={"model": {"tok2vec": TRF_LISTENER}})
    optimizer = initialize(nlp)
    for _ in range(steps):
        nlp.update(examples(nlp), sgd=optimizer, drop=0.0)
    return nlp


def test_training_and_prediction_run_on_the_device(tokenizer, on_gpu):
    nlp = trained(tokenizer, steps=60)
    encoder = nlp.get_pipe("transformer").model.shims[0].module
    assert {p.device.type for p in encoder.parameters()} == {"cuda"}
    scores = nlp.evaluate(examples(nlp))
    assert scores["ents_f"] == 1.0 and scores["cats_score"] == 1.0 and scores["tag_acc"] == 1.0


def test_a_pipeline_trained_on_the_device_predicts_the_same_on_the_cpu(tokenizer, on_gpu, tmp_path):
    nlp = trained(tokenizer)
    docs = list(nlp.pipe(TEXTS))
    nlp.to_disk(tmp_path)
    set_current_ops(NumpyOps())
    for doc, text in zip(docs, TEXTS, strict=True):
        again = spacy.load(tmp_path)(text)
        np.testing.assert_allclose(to_numpy(doc.tensor), again.tensor, atol=1e-3)
        assert [(e.start, e.end, e.label_) for e in doc.ents] == [
            (e.start, e.end, e.label_) for e in again.ents
        ]
        assert doc.cats == pytest.approx(again.cats, abs=1e-3)
