import numpy as np
import pytest

from spacy_llm_tasks.pretraining.pieces.chunks import BUCKET, ChunkIndex, ChunkSampler
from spacy_llm_tasks.pretraining.pieces.piece_store import write_pieces

from ..cutters import wordpiece


def store_of(tmp_path, lengths, seed=0):
    """Documents of so many pieces, each piece a letter of its own word."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(list("abcdefghij"), n)) for n in lengths]
    return write_pieces(tmp_path / "store", texts, wordpiece())


def naive_chunks(store, length, min_pieces):
    found, n_dropped = [], 0
    for i in range(store.n_documents):
        ids, starts = store.document(i)
        for begin in range(0, len(ids), length):
            end = min(begin + length, len(ids))
            if end - begin < min_pieces:
                n_dropped += end - begin
                continue
            row = (i, ids[begin:end].tolist(), starts[begin:end].tolist())
            found.append((*row, begin == 0, end == len(ids)))
    return found, n_dropped


def unpacked(chunks):
    rows = zip(chunks.bounds[:-1], chunks.bounds[1:], strict=True)
    return [
        (
            int(chunks.documents[i]),
            chunks.pieces[a:b].tolist(),
            chunks.starts_word[a:b].tolist(),
            bool(chunks.starts_document[i]),
            bool(chunks.ends_document[i]),
        )
        for i, (a, b) in enumerate(rows)
    ]


@pytest.mark.parametrize("length, min_pieces", [(10, 1), (10, 4), (10, 10), (7, 3), (1, 1)])
def test_documents_are_cut_into_chunks(tmp_path, length, min_pieces):
    store = store_of(tmp_path, [25, 0, 10, 3, 30, 9, 1, 0, 14])
    index = ChunkIndex(store, length=length, min_pieces=min_pieces)
    expected, n_dropped = naive_chunks(store, length, min_pieces)
    assert index.n_chunks == len(expected) and index.n_dropped == n_dropped
    chunks = index.gather(np.arange(index.n_chunks))
    assert unpacked(chunks) == expected
    assert chunks.lengths.tolist() == index.lengths.tolist()
    backwards = index.gather(np.arange(index.n_chunks)[::-1])
    assert unpacked(backwards) == expected[::-1]


@pytest.fixture
def index(tmp_path):
    lengths = np.random.default_rng(1).integers(0, 150, size=200)
    return ChunkIndex(store_of(tmp_path, lengths), length=40, min_pieces=3)


def numbers_of(sampler, n):
    """The chunks of a micro-batch, by what they hold."""
    return unpacked(sampler.batch(n))


def test_every_epoch_deals_out_every_chunk_once(index):
    sampler = ChunkSampler(index, batch_pieces=200, seed=3)
    everything = sorted(unpacked(index.gather(np.arange(index.n_chunks))))
    orders = []
    for epoch in range(3):
        numbers = range(epoch * sampler.n_batches, (epoch + 1) * sampler.n_batches)
        dealt = [row for n in numbers for row in numbers_of(sampler, n)]
        assert sorted(dealt) == everything
        assert {sampler.epoch_of(n) for n in numbers} == {epoch}
        orders.append(dealt)
    assert orders[0] != orders[1] != orders[2]


def test_a_batch_is_a_function_of_its_number(index):
    n = ChunkSampler(index, batch_pieces=200, seed=3).n_batches
    numbers = [0, 5, n - 1, n, 2 * n + 3]
    forwards, backwards = (ChunkSampler(index, batch_pieces=200, seed=3) for _ in range(2))
    first = [numbers_of(forwards, i) for i in numbers]
    assert first == [numbers_of(backwards, i) for i in numbers[::-1]][::-1]
    other = ChunkSampler(index, batch_pieces=200, seed=4)
    assert first != [numbers_of(other, i) for i in numbers]


@pytest.mark.parametrize("framing", [0, 2, 3])
def test_batches_are_full_but_not_too_full(index, framing):
    most = 300
    sampler = ChunkSampler(index, batch_pieces=most, seed=0, framing=framing)
    sizes = []
    for n in range(2 * sampler.n_batches):
        lengths = sampler.batch(n).lengths + framing
        sizes.append(lengths.sum())
        assert lengths.sum() <= most
    assert np.mean(sizes) > 0.8 * most


def test_lengths_of_a_batch_are_nearly_equal(index):
    sampler = ChunkSampler(index, batch_pieces=300, seed=0)
    n_buckets = 0
    for n in range(sampler.n_batches):
        lengths = sampler.batch(n).lengths + 2
        assert (np.diff(-(-lengths // BUCKET)) >= 0).all()  # so that a packing needs no gather
        n_buckets += len(set(-(-lengths // BUCKET)))
    # a batch reaches over the edge of a bucket only where one ends
    assert n_buckets <= sampler.n_batches + 42 // BUCKET + 1


def test_chunks_meet_others_in_every_epoch(index):
    sampler = ChunkSampler(index, batch_pieces=200, seed=0)
    groups = [
        {frozenset(str(row) for row in numbers_of(sampler, epoch * sampler.n_batches + n))}
        for epoch in range(2)
        for n in range(sampler.n_batches)
    ]
    first, second = groups[: sampler.n_batches], groups[sampler.n_batches :]
    assert len([group for group in first if group in second]) < 0.2 * sampler.n_batches


def test_ranks_share_an_epoch_out(index):
    n_ranks, n_accumulated = 3, 2
    samplers = [ChunkSampler(index, batch_pieces=100, seed=0) for _ in range(n_ranks)]
    n_batches = samplers[0].n_batches
    taken = [
        step * n_ranks * n_accumulated + rank * n_accumulated + a
        for step in range(-(-n_batches // (n_ranks * n_accumulated)))
        for rank in range(n_ranks)
        for a in range(n_accumulated)
    ]
    assert taken[:n_batches] == list(range(n_batches))
    alone = ChunkSampler(index, batch_pieces=100, seed=0)
    for n in taken[:12]:
        rank = n % (n_ranks * n_accumulated) // n_accumulated
        assert numbers_of(samplers[rank], n) == numbers_of(alone, n)


def test_settings_that_cannot_be(tmp_path):
    store = store_of(tmp_path, [5, 6])
    for length, min_pieces in ((0, 0), (5, 6), (5, 0)):
        with pytest.raises(ValueError, match="E724"):
            ChunkIndex(store, length=length, min_pieces=min_pieces)
    with pytest.raises(ValueError, match="E726"):
        ChunkSampler(ChunkIndex(store, length=10, min_pieces=8), batch_pieces=50, seed=0)
    with pytest.raises(ValueError, match="E727"):
        ChunkSampler(ChunkIndex(store, length=10), batch_pieces=11, seed=0)
    assert ChunkSampler(ChunkIndex(store, length=10), batch_pieces=12, seed=0).n_batches == 2
