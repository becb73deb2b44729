import pytest
import torch

from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.generation import generate
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder

from .reference import decode, encode

SOURCES = [9, 1, 14, 20]
TARGETS = [3, 17, 14, 1]


def config(**settings):
    return TransformerConfig(
        **{"n_pieces": 40, "width": 16, "depth": 2, "n_heads": 4, "max_length": 32, **settings}
    )


def make(first=None, second=None, **options):
    torch.manual_seed(0)
    model = EncoderDecoder(first or config(), second or config(), **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def batch():
    generator = torch.Generator().manual_seed(0)
    draw = [
        [torch.randint(0, 40, (n,), generator=generator) for n in lengths]
        for lengths in (SOURCES, TARGETS)
    ]
    packings = [Packing.from_lengths(lengths) for lengths in (SOURCES, TARGETS)]
    return draw, [torch.cat(draw[0]), packings[0], torch.cat(draw[1]), packings[1]]


@pytest.mark.parametrize("share", [True, False])
def test_equals_the_naive_reference_with_gradients(share):
    model = make(config(depth=1), config(positions="rope"), share_embeddings=share)
    (sources, targets), inputs = batch()
    weight = torch.randn(sum(TARGETS), 16)
    ours = model(*inputs)
    memories = encode(model.encoder, sources).split(SOURCES)
    naive = decode(model.decoder, targets, memories)
    assert (ours - naive).abs().max() < 2e-5
    pairs = zip(
        model.named_parameters(),
        torch.autograd.grad((ours * weight).sum(), list(model.parameters())),
        torch.autograd.grad((naive * weight).sum(), list(model.parameters())),
        strict=True,
    )
    for (name, _), found, expected in pairs:
        assert expected.any() or "kv" in name or "qkv" in name, name
        scale = max(1.0, expected.abs().max().item())
        assert (found - expected).abs().max() < 2e-5 * scale, name


def test_a_shared_table_is_one_parameter():
    model = make()
    names = [name for name, _ in model.named_parameters()]
    assert "encoder.embeddings.pieces.weight" in names
    assert "decoder.embeddings.pieces.weight" not in names
    assert "decoder.embeddings.positions.weight" in names
    assert "decoder.embeddings.pieces.weight" in model.state_dict()
    assert model.piece_table is model.encoder.piece_table
    apart = make(config(), config(n_pieces=30), share_embeddings=False)
    assert apart.piece_table is not apart.encoder.piece_table and len(apart.piece_table) == 30


def test_parts_of_the_whole():
    model = make(config(depth=3))
    assert model.layer_of("encoder.embeddings.pieces.weight") == 0
    assert model.layer_of("decoder.embeddings.positions.weight") == 0
    assert model.layer_of("encoder.blocks.2.attention.qkv.weight") == 3
    assert model.layer_of("decoder.blocks.0.cross_attention.kv.weight") == 4
    model.set_dropout(0.5)
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.5}
    model.reset_parameters()
    for part in (model.encoder.blocks[0], model.decoder.blocks[0]):
        assert part.attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_refusals():
    with pytest.raises(ValueError, match="E133.*width is 16.*32"):
        EncoderDecoder(config(), config(width=32))
    with pytest.raises(ValueError, match="E133.*n_pieces is 40.*30"):
        EncoderDecoder(config(), config(n_pieces=30))
    with pytest.raises(ValueError, match="E133.*embedding_width"):
        EncoderDecoder(config(), config(embedding_width=8))
    _, (source, source_packing, target, _) = batch()
    with pytest.raises(ValueError, match="E131"):
        make()(source, source_packing, target, Packing.from_lengths([len(target)]))


def test_learns_to_turn_a_text_around():
    """Each row must find its place in the memory; the answer is then written without help."""
    start, n = 9, 5
    shape = config(n_pieces=10, width=32, norm_position="pre", dropout=0.0, attention_dropout=0.0)
    torch.manual_seed(0)
    model, head = EncoderDecoder(shape, shape), PieceHead(shape, transform=False, bias=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    packing = Packing.from_lengths([n] * 64)
    for _ in range(150):
        source = torch.randint(0, 9, (64, n))
        answer = source.flip(1)
        target = torch.cat([torch.full((64, 1), start), answer[:, :-1]], dim=1)
        rows = model(source.ravel(), packing, target.ravel(), packing)
        loss = head.loss_sum(rows, model.piece_table, answer.ravel()) / answer.numel()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = 0
    for source in torch.randint(0, 9, (20, n)):
        memory = model.encoder(source, Packing.from_lengths([n])).last
        written = generate(model.decoder, head, [start], max_new=n, memory=memory)
        right += written == source.tolist()[::-1]
    assert right >= 18
