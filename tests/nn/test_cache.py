import torch

from spacy_llm_tasks.nn.cache import FIRST_ROOM, Cache, LayerCache


def test_keys_and_values_are_kept_in_order():
    layer = LayerCache()
    parts = [torch.randn(2, 1, 3, n, 4) for n in (5, 1, FIRST_ROOM, 1, 3 * FIRST_ROOM)]
    for i, (keys, values) in enumerate(parts):
        all_keys, all_values = layer.extend(keys, values)
        so_far = torch.cat(parts[: i + 1], dim=3)
        assert torch.equal(all_keys, so_far[0]) and torch.equal(all_values, so_far[1])
        assert layer.length == so_far.shape[3]


def test_rooms_grow_seldom():
    layer, buffers = LayerCache(), set()
    for _ in range(10 * FIRST_ROOM):
        keys, _ = layer.extend(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
        buffers.add(keys.untyped_storage().size())
    assert len(buffers) <= 5


def test_length():
    cache = Cache(2)
    assert cache.length == 0 and len(cache.layers) == 2
    for layer in cache.layers:
        layer.extend(torch.zeros(1, 1, 3, 1), torch.zeros(1, 1, 3, 1))
    assert cache.length == 3
