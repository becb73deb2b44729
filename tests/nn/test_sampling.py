import pytest
import torch

from spacy_llm_tasks.nn.sampling import Sampling

LOGITS = torch.tensor([0.1, 0.5, 0.05, 0.2, 0.15]).log() + 3


def drawn(n=4000, seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    sampling = Sampling(**settings)
    pieces = [sampling.choose(LOGITS, generator=generator) for _ in range(n)]
    return torch.tensor(pieces).bincount(minlength=5)


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"temperature": 1.0}, [0.1, 0.5, 0.05, 0.2, 0.15]),
        ({"temperature": 0.5}, [0.01, 0.25, 0.0025, 0.04, 0.0225]),
        ({"temperature": 1.0, "top_k": 2}, [0, 0.5, 0, 0.2, 0]),
        ({"temperature": 1.0, "top_k": 99}, [0.1, 0.5, 0.05, 0.2, 0.15]),
        ({"temperature": 1.0, "top_p": 0.8}, [0, 0.5, 0, 0.2, 0.15]),
        ({"temperature": 1.0, "top_p": 0.69}, [0, 0.5, 0, 0.2, 0]),
        ({"temperature": 1.0, "top_p": 0.01}, [0, 1, 0, 0, 0]),
        # of the best three, whose shares are .59, .24 and .18, the first two reach .8
        ({"temperature": 1.0, "top_k": 3, "top_p": 0.8}, [0, 0.5, 0, 0.2, 0]),
        ({"temperature": 2.0, "top_k": 2}, [0, 0.5**0.5, 0, 0.2**0.5, 0]),
    ],
)
def test_pieces_are_drawn_by_their_probability(settings, expected):
    shares = torch.tensor(expected) / sum(expected)
    torch.testing.assert_close(
        Sampling(**settings).probabilities(LOGITS), shares, atol=1e-6, rtol=1e-5
    )
    counts, n = drawn(**settings), 4000
    assert not counts[shares == 0].any()
    kept = shares > 0
    chi_squared = ((counts - n * shares)[kept] ** 2 / (n * shares[kept])).sum()
    assert chi_squared < 18.5  # one in a thousand, with four degrees of freedom


def test_one_seed_gives_one_sequence():
    sampling = Sampling(temperature=1.0)

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return [sampling.choose(LOGITS, generator=generator) for _ in range(50)]

    assert draw(1) == draw(1) != draw(2)


def test_temperature_zero_takes_the_best():
    assert Sampling().choose(LOGITS) == 1
    assert Sampling(top_k=3, top_p=0.1).choose(LOGITS) == 1


def test_half_precision_logits():
    chances = Sampling(temperature=1.0).probabilities(LOGITS.bfloat16())
    assert chances.dtype == torch.float32 and chances.sum().item() == pytest.approx(1)


@pytest.mark.parametrize(
    "name, value",
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.1),
    ],
)
def test_bad_settings_are_named(name, value):
    with pytest.raises(ValueError, match=f"E134.*'{name}'"):
        Sampling(**{name: value})
