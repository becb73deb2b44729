"""Computing again saves memory, and changes no gradient."""

import pytest
import torch

from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder
from spacy_llm_tasks.pretraining.model import PretrainingModel
from spacy_llm_tasks.pretraining.objectives import CausalLM, Denoising, MaskedLM, ReplacedPieces
from spacy_llm_tasks.pretraining.optimisation.recompute import recompute_blocks
from spacy_llm_tasks.pretraining.team.names import named_tensors

from ..objectives.examples import SPECIAL, chunks_of, config_of, rng_of

CASES = {
    "masked": (TransformerEncoder, MaskedLM(rate=0.3)),
    "replaced": (TransformerEncoder, ReplacedPieces(generator_size=0.5)),
    "causal": (TransformerDecoder, CausalLM()),
    "denoising": (lambda config: EncoderDecoder(config, config), Denoising()),
}


def gradients(name, recompute, *, precision=None):
    make, objective = CASES[name]
    torch.manual_seed(3)
    model = PretrainingModel(make(config_of(dropout=0.2, attention_dropout=0.1)), [objective])
    names = set(named_tensors(model))
    if recompute:
        recompute_blocks(model)
        assert set(named_tensors(model)) == names
    prepared = objective.prepare(chunks_of([20, 13, 7]), SPECIAL, rng=rng_of(), progress=0.0)
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    torch.manual_seed(4)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = objective.loss(model.trunk, model.heads[name], prepared)
    n_kept = sum(kept)
    loss.total.backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return loss.total.item(), n_kept, found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("precision", [None, "bf16"])
def test_gradients_are_equal(name, precision):
    loss, n_kept, expected = gradients(name, False, precision=precision)
    again, n_kept_again, found = gradients(name, True, precision=precision)
    assert again == loss
    assert found.keys() == expected.keys()
    for parameter, gradient in expected.items():
        assert torch.equal(found[parameter], gradient), parameter
    assert n_kept_again < 0.6 * n_kept
