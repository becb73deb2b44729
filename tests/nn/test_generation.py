import pytest
import torch

from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.crossing import Crossing
from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.generation import generate
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.nn.sampling import Sampling

PROMPT = [3, 1, 4, 1, 5]
VARIANTS = {
    "gpt2": {"norm_position": "pre", "embedding_norm": False, "activation": "gelu_tanh"},
    "modern": {"positions": "rope", "norm_position": "pre", "activation": "geglu"},
    "alibi": {"positions": "alibi"},
    "waves": {"positions": "sinusoidal"},
}


def make(*, cross=False, **settings):
    torch.manual_seed(0)
    defaults = {"n_pieces": 40, "width": 16, "depth": 2, "n_heads": 4, "max_length": 32}
    config = TransformerConfig(**{**defaults, **settings})
    decoder = TransformerDecoder(config, cross=cross)
    head = PieceHead(config, transform=True, bias=False)
    with torch.no_grad():  # matrices alone: what is written should hang on what was read
        for parameter in [*decoder.parameters(), *head.parameters()]:
            if parameter.dim() == 2:
                parameter.normal_(std=0.5)
    return decoder, head


def by_recomputation(decoder, head, n, sampling, generator=None, memory=None):
    """The whole text is read again for each new piece."""
    pieces = list(PROMPT)
    decoder.eval()
    for _ in range(n):
        packing = Packing.from_lengths([len(pieces)])
        given = {}
        if memory is not None:
            crossing = Crossing.from_packings(packing, Packing.from_lengths([len(memory)]))
            given = {"memory": memory, "crossing": crossing}
        with torch.no_grad():
            rows = decoder(torch.tensor(pieces), packing, **given)
            logits = head(rows[-1:], decoder.piece_table)[0]
        pieces.append(sampling.choose(logits, generator=generator))
    return pieces[len(PROMPT) :]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.8, "top_k": 10, "top_p": 0.9}])
def test_equals_recomputation(name, cross, settings):
    decoder, head = make(cross=cross, **VARIANTS[name])
    memory = torch.randn(7, 16) if cross else None
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    ours = generate(
        decoder, head, PROMPT, max_new=25, generator=generators[0], memory=memory, **settings
    )
    naive = by_recomputation(decoder, head, 25, Sampling(**settings), generators[1], memory)
    assert ours == naive and len(set(ours)) > 1


def test_each_piece_is_read_once(monkeypatch):
    decoder, head = make()
    sizes, own = [], decoder.embed
    monkeypatch.setattr(
        decoder, "embed", lambda pieces, packing: sizes.append(len(pieces)) or own(pieces, packing)
    )
    generate(decoder, head, torch.tensor(PROMPT), max_new=6)
    assert sizes == [5, 1, 1, 1, 1, 1]


def test_stops():
    decoder, head = make()
    free = generate(decoder, head, PROMPT, max_new=20)
    end = free[7]
    first = free.index(end)
    assert generate(decoder, head, PROMPT, max_new=20, stop=end) == free[: first + 1]
    assert generate(decoder, head, PROMPT, max_new=20, stop={end, 99}) == free[: first + 1]
    assert generate(decoder, head, PROMPT, max_new=3, stop=99) == free[:3]
    assert generate(decoder, head, PROMPT, max_new=0) == []


def test_dropout_is_off_while_writing_and_as_before_afterwards():
    decoder, head = make(dropout=0.5, attention_dropout=0.5)
    decoder.train()
    decoder.blocks[0].eval()
    assert generate(decoder, head, PROMPT, max_new=9) == generate(decoder, head, PROMPT, max_new=9)
    assert decoder.training and decoder.blocks[1].dropout.training
    assert not decoder.blocks[0].training and not decoder.blocks[0].dropout.training


def test_no_gradients_are_kept():
    decoder, head = make()
    generate(decoder, head, PROMPT, max_new=3)
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in decoder.parameters())


def test_learned_positions_end():
    decoder, head = make()
    assert len(generate(decoder, head, PROMPT, max_new=28)) == 28  # the last one is not read
    with pytest.raises(ValueError, match="E135.*5 pieces.*29.*32"):
        generate(decoder, head, PROMPT, max_new=29)
    decoder, head = make(positions="rope")
    assert len(generate(decoder, head, PROMPT, max_new=40)) == 40


def test_refusals():
    decoder, head = make()
    with pytest.raises(ValueError, match="E134.*'pieces'"):
        generate(decoder, head, [], max_new=3)
    with pytest.raises(ValueError, match="E134.*'max_new'"):
        generate(decoder, head, PROMPT, max_new=-1)
    with pytest.raises(ValueError, match="E134.*'top_k'"):
        generate(decoder, head, PROMPT, max_new=1, top_k=0)
    with pytest.raises(ValueError, match="E129.*reads no memory"):
        generate(decoder, head, PROMPT, max_new=1, memory=torch.zeros(2, 16))
    with pytest.raises(ValueError, match="E129.*reads a memory"):
        generate(*make(cross=True), PROMPT, max_new=1)
