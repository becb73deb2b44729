import pytest
import torch

from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder
from spacy_llm_tasks.pretraining.model import PretrainingModel
from spacy_llm_tasks.pretraining.objectives import (
    CausalLM,
    Contrastive,
    Denoising,
    MaskedLM,
    NextSentence,
    ReplacedPieces,
)

from .objectives.examples import SPECIAL, chunks_of, config_of, rng_of

OBJECTIVES = {
    "encoder": [MaskedLM, ReplacedPieces, NextSentence, Contrastive],
    "decoder": [CausalLM],
    "seq2seq": [Denoising],
}
MAKE = {
    "encoder": lambda: TransformerEncoder(config_of(dropout=0.1, n_segments=2)),
    "decoder": lambda: TransformerDecoder(config_of()),
    "seq2seq": lambda: EncoderDecoder(config_of(), config_of()),
}


def model_of(kind, seed=0):
    torch.manual_seed(seed)
    return PretrainingModel(MAKE[kind](), [make() for make in OBJECTIVES[kind]])


def prepared_by(objective, seed=0):
    return objective.prepare(chunks_of([16] * 12), SPECIAL, rng=rng_of(seed), progress=0.0)


@pytest.mark.parametrize("kind", MAKE)
def test_every_objective_runs_on_one_trunk_and_reaches_it(kind):
    model = model_of(kind)
    assert set(model.heads) == {make.name for make in OBJECTIVES[kind]}
    for name, objective in model.objectives.items():
        model.zero_grad()
        prepared = prepared_by(objective)
        losses = model(name, prepared.to("cpu"))
        assert losses.count == prepared.count > 0 and losses.total.shape == ()
        losses.total.backward()
        trained = {n for n, p in model.named_parameters() if p.grad is not None}
        assert any(n.startswith("trunk.blocks.1") or ".blocks.1." in n for n in trained)
        assert {n.split(".")[1] for n in trained if n.startswith("heads.")} <= {name}
        for total, count in losses.metrics.values():
            assert type(total) is float and type(count) is float


@pytest.mark.parametrize(
    "kind, name", [(kind, make.name) for kind, makes in OBJECTIVES.items() for make in makes]
)
def test_every_objective_can_be_learned(kind, name):
    model = model_of(kind)
    prepared = prepared_by(model.objectives[name])
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    means = []
    for _ in range(30):
        optimizer.zero_grad()
        losses = model(name, prepared)
        (losses.total / losses.count).backward()
        optimizer.step()
        means.append(losses.total.item() / losses.count)
    assert means[-1] < 0.75 * means[0]


@pytest.mark.parametrize("name", ["masked", "replaced", "next_sentence", "contrastive"])
def test_a_step_that_is_repeated_gives_the_same_numbers(name):
    """What a resumed run does: same weights, same random state, same number of the micro-batch."""
    found = []
    for _ in range(2):
        model = model_of("encoder")
        torch.manual_seed(11)
        losses = model(name, prepared_by(model.objectives[name], seed=3))
        losses.total.backward()
        found.append([losses.total.item(), model.trunk.piece_table.grad.sum().item()])
    assert found[0] == found[1]


def test_the_trunk_is_stored_once():
    model = model_of("encoder")
    tables = [p for p in model.parameters() if p.dim() == 2 and len(p) == config_of().n_pieces]
    assert len(tables) == 1 and tables[0] is model.trunk.piece_table


def test_objectives_must_fit_the_trunk():
    with pytest.raises(ValueError, match="E734.*'causal'.*'decoder'.*'encoder'"):
        PretrainingModel(MAKE["encoder"](), [CausalLM()])
    with pytest.raises(ValueError, match="E734.*'masked'.*'encoder'.*'seq2seq'"):
        PretrainingModel(MAKE["seq2seq"](), [MaskedLM()])
    with pytest.raises(ValueError, match="E735.*'masked'"):
        PretrainingModel(MAKE["encoder"](), [MaskedLM(), MaskedLM(rate=0.3)])
