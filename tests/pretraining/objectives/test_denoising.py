import pytest
import torch

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder
from spacy_llm_tasks.pretraining.objectives import Denoising
from spacy_llm_tasks.pretraining.pieces.special import SpecialIds

from .examples import (
    LENGTHS,
    SPECIAL,
    assert_same_gradients,
    chunks_of,
    config_of,
    count_projected,
    naive_piece_loss,
    rng_of,
    sequences,
    shaken,
)


def prepare(chunks, seed=0, **settings):
    return Denoising(**settings).prepare(chunks, SPECIAL, rng=rng_of(seed), progress=0.0)


def make_trunk():
    return shaken(EncoderDecoder(config_of(), config_of()))


def test_the_decoder_reads_the_text_shifted_and_predicts_all_of_it():
    chunks = chunks_of([4, 1])
    a, b = chunks.pieces[:4].tolist(), chunks.pieces[4:].tolist()
    prepared = prepare(chunks)
    cls, sep = SPECIAL.cls, SPECIAL.sep
    assert prepared.decoder_pieces.tolist() == [sep, cls, *a, sep, cls, *b]
    assert prepared.targets.tolist() == [cls, *a, sep, cls, *b, sep]
    assert prepared.decoder_lengths.tolist() == [6, 3]
    assert prepared.target_rows.tolist() == list(range(9))
    assert prepared.count == 9


def test_the_encoder_reads_a_third_less():
    chunks = chunks_of([60] * 10)
    prepared = prepare(chunks)
    texts = zip(sequences(prepared), chunks.pieces.reshape(10, 60).tolist(), strict=True)
    for source, text in texts:
        kept = [piece for piece in source[1:-1] if piece != SPECIAL.mask]
        assert len(kept) == 60 - 18 and SPECIAL.mask in source
        remaining = iter(text)
        assert all(piece in remaining for piece in kept)  # in the order of the text
    assert prepared.lengths.tolist() == [len(s) for s in sequences(prepared)]


@pytest.mark.parametrize("mean_span", [0.11, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5])
def test_no_source_is_longer_than_its_text(mean_span, rate):
    """Spans of no pieces add masks; a model whose positions end with the text has no room."""
    lengths = [60] * 40 + [1, 2, 3, 5] * 20
    for seed in range(5):
        prepared = prepare(chunks_of(lengths), seed, rate=rate, mean_span=mean_span)
        assert (prepared.lengths <= torch.tensor(lengths) + 2).all()
        masks = [source.count(SPECIAL.mask) for source in sequences(prepared)]
        assert min(masks) >= 1  # something is asked of each


def test_the_generator_decides_everything():
    chunks = chunks_of(LENGTHS)
    first, again, other = (sequences(prepare(chunks, seed)) for seed in (1, 1, 2))
    assert first == again and first != other


def test_loss_and_gradients_equal_the_naive_ones():
    objective, trunk = Denoising(), make_trunk()
    head = shaken(objective.make_head(trunk.decoder.config), seed=1)
    prepared = prepare(chunks_of(LENGTHS))
    losses = objective.loss(trunk, head, prepared)
    hidden = []  # one pair at a time, so that no text can see another one
    for chunk, source in enumerate(sequences(prepared)):
        target = prepared.decoder_pieces.split(prepared.decoder_lengths.tolist())[chunk]
        packings = [Packing.from_lengths([len(part)]) for part in (source, target)]
        hidden.append(trunk(torch.tensor(source), packings[0], target, packings[1]))
    naive, n_right = naive_piece_loss(
        head, torch.cat(hidden), trunk.piece_table, prepared.target_rows, prepared.targets
    )
    assert losses.count == prepared.count == sum(LENGTHS) + 2 * len(LENGTHS)
    assert losses.metrics == {"accuracy": (n_right, prepared.count)}
    assert_same_gradients(losses.total, naive, trunk, head)


def test_the_source_never_meets_the_vocabulary(monkeypatch):
    objective, trunk = Denoising(), make_trunk()
    head = objective.make_head(trunk.decoder.config).eval()
    prepared = prepare(chunks_of([40] * 4))
    seen = count_projected(monkeypatch)
    with torch.no_grad():
        objective.loss(trunk.eval(), head, prepared)
    n_rows = kernels.n_rows_for(prepared.count, torch.device("cpu"))
    assert prepared.count <= sum(seen) <= n_rows < prepared.count + len(prepared.pieces)


def test_bfloat16_sums_in_float32():
    objective, trunk = Denoising(), EncoderDecoder(config_of(), config_of())
    head = objective.make_head(trunk.decoder.config)
    prepared = prepare(chunks_of(LENGTHS))
    exact = objective.loss(trunk, head, prepared).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = objective.loss(trunk, head, prepared).total
    assert rounded.dtype == torch.float32
    assert abs(rounded.item() / exact.item() - 1) < 0.01
    rounded.backward()


@pytest.mark.parametrize("settings", [{"rate": 0.6}, {"rate": 0}, {"mean_span": 0}, {"weight": -1}])
def test_settings_out_of_range_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=f"E730.*{next(iter(settings))}.*denoising"):
        Denoising(**settings)


def test_a_vocabulary_without_a_mask_is_refused():
    bare = SpecialIds(cls=0, sep=0, pad=0, unk=None, mask=None, n_pieces=50)
    with pytest.raises(ValueError, match="E725.*denoising"):
        Denoising().prepare(chunks_of([5]), bare, rng=rng_of(), progress=0.0)
