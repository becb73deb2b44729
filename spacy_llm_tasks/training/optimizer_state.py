"""The optimizer's memory under names that the next process knows too.

thinc keys its moments by running numbers of layers and shims, which differ from process to
process. Here a parameter is named by its component, the place of its layer in the walk over the
component's model, the shim if it belongs to one, and its own name: `ner/3/W`,
`transformer/1/shim0/norm.weight`.
"""

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from spacy.language import Language
from thinc.api import Model, Optimizer, get_current_ops
from thinc.backends import get_array_ops

from ..errors import Errors

KeyT = tuple[int, str]
MEMORIES = ("mom1", "mom2", "averages", "starts")
COUNTERS = ("nr_update", "last_seen")


class ParameterNames:
    """Both directions between thinc's keys and lasting names, for one pipeline.

    nlp (Language): The pipeline, initialized.
    """

    def __init__(self, nlp: Language) -> None:
        self._of_layer: dict[KeyT, str] = {}
        self._of_shim: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        for component, proc in nlp.components:
            model = getattr(proc, "model", None)
            if isinstance(model, Model):
                for i, node in enumerate(model.walk()):
                    self._add_node(f"{component}/{i}", node)

    def _add_node(self, place: str, node: Model) -> None:
        self._ids[place] = node.id
        for name in node.param_names:
            self._of_layer.setdefault((node.id, name), f"{place}/{name}")
        for j, shim in enumerate(node.shims):
            self._ids[f"{place}/shim{j}"] = shim.id
            self._of_shim.setdefault(shim.id, f"{place}/shim{j}")

    def name(self, key: KeyT) -> str | None:
        """RETURNS (str | None): The lasting name, None for a key of no layer of the pipeline."""
        if key in self._of_layer:
            return self._of_layer[key]
        place = self._of_shim.get(key[0])
        return None if place is None else f"{place}/{key[1]}"

    def key(self, name: str) -> KeyT:
        """RETURNS (tuple): thinc's key. RAISES (ValueError): if the pipeline has no such layer."""
        place, parameter = name.rsplit("/", 1)
        if place not in self._ids:
            raise ValueError(Errors.E503.format(name=name))
        return self._ids[place], parameter


def optimizer_to_state(
    nlp: Language, optimizer: Optimizer
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read an optimizer's memory.

    nlp (Language): The pipeline that it trains.
    optimizer (Optimizer): thinc's or any subclass.
    RETURNS (tuple): JSON types and arrays. `unnamed` counts the parameters that no layer of the
        pipeline owns; with any, the state is not whole.
    """
    names = ParameterNames(nlp)
    arrays: dict[str, np.ndarray] = {}
    numbers: dict[str, Any] = {
        "rates": {k: float(getattr(optimizer, k)) for k in optimizer.schedules}
    }
    unnamed = set()
    for memory in MEMORIES:
        for key, array in (getattr(optimizer, memory, None) or {}).items():
            name = names.name(key)
            if name is None:
                unnamed.add(key)
            else:
                arrays[f"{memory}/{name}"] = get_array_ops(array).to_numpy(array)
    for counter in COUNTERS:
        counted = {names.name(key): n for key, n in getattr(optimizer, counter).items()}
        numbers[counter] = {name: n for name, n in counted.items() if name is not None}
    numbers["unnamed"] = len(unnamed)
    return numbers, arrays


def optimizer_from_state(
    nlp: Language,
    optimizer: Optimizer,
    numbers: dict[str, Any],
    arrays: dict[str, np.ndarray],
    *,
    steps: int,
) -> None:
    """Bring a fresh optimizer to where the saved one was.

    nlp (Language): The pipeline, with the same layers as when it was saved.
    optimizer (Optimizer): Newly made from the same config.
    numbers (dict): As `optimizer_to_state` gave it.
    arrays (dict[str, ndarray]): Likewise; entries of other owners are left alone.
    steps (int): How often the schedules were stepped; they are generators and are stepped again.
    RAISES (ValueError): If the state does not fit the pipeline or the schedules.
    """
    if numbers["unnamed"]:
        raise ValueError(Errors.E504.format(count=numbers["unnamed"]))
    names = ParameterNames(nlp)
    for _ in range(steps):
        optimizer.step_schedules()
    for rate, saved in numbers["rates"].items():
        found = float(getattr(optimizer, rate))
        if found != saved:
            raise ValueError(Errors.E505.format(rate=rate, saved=saved, found=found))
    ops = get_current_ops()
    for full_name, array in _of_memories(arrays):
        memory, name = full_name.split("/", 1)
        getattr(optimizer, memory)[names.key(name)] = ops.asarray_f(cast(Any, array.copy()))
    for counter in COUNTERS:
        for name, n in numbers[counter].items():
            getattr(optimizer, counter)[names.key(name)] = n


def _of_memories(arrays: dict[str, np.ndarray]) -> Iterable[tuple[str, np.ndarray]]:
    return ((k, v) for k, v in arrays.items() if k.split("/", 1)[0] in MEMORIES)
