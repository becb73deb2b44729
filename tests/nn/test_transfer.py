import pytest
import torch

from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.transfer import send


class Watched:
    """Stands in for a tensor on the CPU, and notes how it leaves."""

    device = torch.device("cpu")

    def __init__(self, n):
        self.n, self.seen = n, []

    def numel(self):
        return self.n

    def pin_memory(self):
        self.seen.append("pinned")
        return self

    def to(self, device, **options):
        self.seen.append((str(device), options))
        return self


@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_nobody_waits_for_a_copy_to_cuda(device):
    watched = Watched(3)
    send(watched, device)
    assert watched.seen == ["pinned", (str(device), {"non_blocking": True})]


@pytest.mark.parametrize("device, n", [("cpu", 3), ("mps", 3), ("meta", 3), ("cuda", 0)])
def test_all_else_goes_the_plain_way(device, n):
    watched = Watched(n)
    send(watched, device)
    assert watched.seen == [(device, {})]


def test_what_stays_is_not_copied():
    tensor = torch.arange(3)
    assert send(tensor, "cpu") is tensor


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_packings_arrive_whole():
    lengths = [5, 1, 64, 33, 2]
    here, there = Packing.from_lengths(lengths), Packing.from_lengths(lengths, device="cuda")
    for name in ("lengths", "starts", "bounds", "positions"):
        assert getattr(there, name).device.type == "cuda"
        assert torch.equal(getattr(there, name).cpu(), getattr(here, name))
    rows = torch.randn(here.n_rows, 4)
    assert torch.equal(there.merge(there.split(send(rows, "cuda"))).cpu(), rows)
    assert send(rows[:0], "cuda").shape == (0, 4)
