"""The state of every random generator that training draws from, as arrays that can be saved.

Python's and numpy's generators are Mersenne twisters (Matsumoto & Nishimura 1998): 624 words of
state and a position. torch gives its state as bytes, one generator per device.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch


@dataclass
class RandomState:
    """One moment of all generators.

    arrays (dict[str, ndarray]): Words or bytes of state, by generator.
    numbers (dict[str, Any]): What is left, in JSON types.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def now(cls) -> "RandomState":
        """RETURNS (RandomState): the generators of Python, numpy and torch as they stand."""
        version, words, gauss = random.getstate()
        legacy: Any = np.random.get_state(legacy=False)
        state = cls(
            {
                "python": np.array(words, dtype=np.uint32),
                "numpy": legacy["state"]["key"].copy(),
                "torch": torch.get_rng_state().numpy().copy(),
            },
            {
                "python": [version, gauss],
                "numpy": [legacy["state"]["pos"], legacy["has_gauss"], legacy["gauss"]],
            },
        )
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            for i, device_state in enumerate(torch.cuda.get_rng_state_all()):
                state.arrays[f"cuda{i}"] = device_state.numpy().copy()
        return state

    def restore(self) -> None:
        """Set the generators that this state holds; others stay as they are."""
        if "python" in self.arrays:
            version, gauss = self.numbers["python"]
            random.setstate((version, tuple(int(w) for w in self.arrays["python"]), gauss))
        if "numpy" in self.arrays:
            pos, has_gauss, gauss = self.numbers["numpy"]
            words = self.arrays["numpy"].astype(np.uint32)
            np.random.set_state(("MT19937", words, pos, has_gauss, gauss))
        if "torch" in self.arrays:
            torch.set_rng_state(torch.from_numpy(self.arrays["torch"].astype(np.uint8)))
        devices = sorted(k for k in self.arrays if k.startswith("cuda"))
        if devices and torch.cuda.is_available():
            for name in devices:
                index = int(name.removeprefix("cuda"))
                if index < torch.cuda.device_count():
                    device_state = torch.from_numpy(self.arrays[name].astype(np.uint8))
                    torch.cuda.set_rng_state(device_state, index)

    def moved_since(self, earlier: "RandomState") -> "RandomState":
        """RETURNS (RandomState): the part of `earlier` that is no longer the present state."""
        moved = [
            name
            for name, before in earlier.arrays.items()
            if earlier.numbers.get(name) != self.numbers.get(name)
            or not np.array_equal(before, self.arrays[name])
        ]
        return RandomState(
            {name: earlier.arrays[name] for name in moved},
            {name: earlier.numbers[name] for name in moved if name in earlier.numbers},
        )


def reseed_cupy(seed: int) -> None:
    """cupy cannot tell its generator's state: a run on GPU seeds it anew at each checkpoint.

    seed (int): The same in the run that goes on and in the run that starts from the checkpoint.
    """
    try:
        import cupy
    except ImportError:
        return
    if cupy.cuda.is_available():
        cupy.random.seed(seed % 2**32)
