"""A pass of the shared encoder in training, from its forward half to its backward one."""

from collections.abc import Callable

from thinc.api import Optimizer
from thinc.types import Floats2d

from ..errors import Errors
from ..layers.doc_encoder import View
from ..layers.encoder import Gradients


class PendingUpdate:
    """A forward pass whose listeners have not all answered yet.

    backward (Callable): Takes, for each view, the gradients of everyone who read it.
    losses (dict): Takes the sum of the squared gradients, under the component's name.
    name (str): That name.
    n_listeners (int): How many may answer.
    """

    def __init__(
        self,
        backward: Callable[[Gradients], None],
        losses: dict[str, float],
        name: str,
        n_listeners: int,
    ) -> None:
        self.gradients: Gradients = {}
        self.sgd: Optimizer | None = None
        self._backward: Callable[[Gradients], None] | None = backward
        self._losses = losses
        self._name = name
        self._waiting = set(range(n_listeners))
        self.has_other_gradients = False  # those of a pass over texts or pairs, already backward

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        """A graph cannot be copied or pickled: copies of a pipeline in training have no pass."""
        return _no_update, ()

    @property
    def is_complete(self) -> bool:
        """RETURNS (bool): Whether every listener has answered."""
        return not self._waiting

    @property
    def has_gradients(self) -> bool:
        """RETURNS (bool): Whether any has."""
        return bool(self.gradients) or self.has_other_gradients

    def add(self, index: int, view: View, d_rows: list[Floats2d]) -> None:
        """Take a listener's gradient of the rows of a view. RAISES (ValueError): if the pass has
        been answered already."""
        if self._backward is None:
            raise ValueError(Errors.E412.format(name=self._name))
        self.gradients.setdefault(view, []).append(d_rows)
        self.answered(index)

    def answered(self, index: int) -> None:
        """Note that a listener has nothing more to send."""
        self._waiting.discard(index)

    def run(self) -> None:
        """Run backward for all gradients there are."""
        backward, self._backward = self._backward, None
        answers = [d for many in self.gradients.values() for d_rows in many for d in d_rows]
        self._losses[self._name] += float(sum((d.ravel() @ d.ravel()) for d in answers))
        if backward is not None and self.gradients:
            backward(self.gradients)
        self.gradients = {}


def _no_update() -> None:
    return None
