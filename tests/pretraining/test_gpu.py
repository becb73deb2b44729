"""Pretraining on a CUDA device: run with `pytest -m gpu`."""

import math

import pytest
import torch

from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.presets import preset

from .runs import KINDS, after, log_of, run, steps_of, weights_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.usefixtures("quick"),
]
OBJECTIVES = {
    "masked": {"masked": {"rate": 0.3, "rate_end": 0.15}},
    "next_sentence": {"masked": {}, "next_sentence": {"weight": 0.5}},
    "replaced": {"replaced": {}},
    "contrastive": {"contrastive": {"dropout": 0.1}},
}


def losses_of(output, group="train"):
    return [
        values["loss"]
        for line in log_of(output)
        for name, values in line.get(group, {}).items()
        if name != "gradients"
    ]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("kind", KINDS)
def test_runs_learn_in_every_precision(texts, tmp_path, kind, precision):
    changes = {"training__precision": precision, "training__max_steps": 40}
    result = run(texts, tmp_path / "out", kind, changes=changes, device="cuda")
    assert result.is_over and result.model is not None
    losses = losses_of(tmp_path / "out")
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_and_optimizers(texts, tmp_path, name, optimizer):
    changes = {
        "objectives": OBJECTIVES[name],
        "optimizer__name": optimizer,
        "training__precision": "bf16",
        "training__accumulate": 2,
        "training__average": 0.8,
    }
    result = run(texts, tmp_path / "out", changes=changes, device="cuda")
    assert result.is_over
    assert all(math.isfinite(loss) for loss in losses_of(tmp_path / "out"))


def test_the_first_losses_are_those_of_the_cpu(texts, tmp_path):
    for device in ("cpu", "cuda"):
        run(texts, tmp_path / device, changes={"training__max_steps": 6}, device=device)
    assert losses_of(tmp_path / "cuda") == pytest.approx(losses_of(tmp_path / "cpu"), abs=1e-3)


def test_a_stopped_run_goes_on(texts, tmp_path):
    dropout = {"dropout": 0.1, "attention_dropout": 0.1}
    sizes = {"width": 16, "depth": 2, "n_heads": 2, "max_length": 32}
    changes = {"model__overrides": {**sizes, **dropout}}
    run(texts, tmp_path / "whole", changes=changes, device="cuda")
    run(texts, tmp_path / "parts", changes=changes, device="cuda", stop=after(4))
    run(texts, tmp_path / "parts", changes=changes, device="cuda", resume=True)
    assert steps_of(tmp_path / "parts")[-1] == steps_of(tmp_path / "whole")[-1]
    expected = weights_of(tmp_path / "whole")
    for name, tensor in weights_of(tmp_path / "parts").items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("dtype, atol", [(torch.float32, 1e-4), (torch.bfloat16, 0.1)])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_packed_attention_equals_one_text_at_a_time(kind, dtype, atol):
    torch.manual_seed(0)
    build = TransformerEncoder if kind == "encoder" else TransformerDecoder
    model = build(preset(kind, "tiny", n_pieces=100)).cuda().to(dtype).eval()

    def read(pieces, lengths):
        output = model(pieces, Packing.from_lengths(lengths, device="cuda"))
        return output.last if kind == "encoder" else output

    lengths = [1, 7, 30, 30, 64, 2]
    pieces = torch.randint(0, 100, (sum(lengths),), device="cuda")
    apart = torch.cat([read(part, [len(part)]) for part in pieces.split(lengths)])
    torch.testing.assert_close(read(pieces, lengths), apart, atol=atol, rtol=0.01)
