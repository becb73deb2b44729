"""The encoder of a pipeline goes back into the published layout."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.layers.encoder import shim_of
from spacy_llm_tasks.nn.packing import Packing

from .toys import TEXTS, empty_pipeline, initialize


@pytest.fixture
def saved(tokenizer, tmp_path):
    nlp = empty_pipeline(tokenizer)
    nlp.add_pipe("trf_ner")
    initialize(nlp)
    nlp.to_disk(tmp_path / "pipeline")
    return nlp, tmp_path / "pipeline"


def test_exported_weights_initialise_another_pipeline(saved, tokenizer, tmp_path):
    nlp, folder = saved
    out = tmp_path / "exported"
    result = CliRunner().invoke(app, ["weights", "export", str(folder), "--output", str(out)])
    assert result.exit_code == 0, result.output
    other = empty_pipeline(tokenizer)
    other.config["initialize"]["components"]["transformer"] = {"weights": str(out)}
    initialize(other)
    for text in TEXTS:
        np.testing.assert_allclose(other(text).tensor, nlp(text).tensor, atol=1e-6)


def test_transformers_reads_the_export(saved, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    nlp, folder = saved
    out = tmp_path / "exported"
    assert (
        CliRunner().invoke(app, ["weights", "export", str(folder), "-o", str(out)]).exit_code == 0
    )
    shim = shim_of(nlp.get_pipe("transformer").model)
    ids = shim.tokenizer.encode([TEXTS[0]]).ids
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert ids.tolist() == tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    pieces = torch.from_numpy(ids)
    with torch.no_grad():
        theirs = AutoModel.from_pretrained(out).eval()(pieces[None]).last_hidden_state[0]
    with shim.predicting() as encoder:
        ours = encoder.transformer(pieces, Packing.from_lengths([len(pieces)])).last
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_family_that_cannot_express_it_is_refused(saved, tmp_path):
    _, folder = saved
    out = tmp_path / "exported"
    result = CliRunner().invoke(
        app, ["weights", "export", str(folder), "-o", str(out), "--family", "gpt9"]
    )
    assert result.exit_code == 1 and "gpt9" in result.output
    assert not out.exists()
