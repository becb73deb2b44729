"""One training step of a pipeline, as `spacy train` takes it."""

from collections.abc import Sequence

from spacy.language import Language
from spacy.training import Example
from spacy.ty import TrainableComponent
from thinc.api import Optimizer


def take_step(
    nlp: Language, optimizer: Optimizer, examples: Sequence[Example], *, dropout: float
) -> dict[str, float]:
    """Update all components from one batch, then step the optimizer and its schedules.

    nlp (Language): An initialised pipeline.
    optimizer (Optimizer): The optimizer.
    examples (Sequence[Example]): The batch.
    dropout (float): The rate.
    RETURNS (dict[str, float]): Losses by component.
    """
    losses: dict[str, float] = {}
    # All components answer before any is stepped. With `sgd=optimizer` the shared encoder would be
    # stepped before its heads have sent their gradients.
    nlp.update(examples, drop=dropout, sgd=False, losses=losses)  # type: ignore[arg-type]
    for _, component in nlp.pipeline:
        if isinstance(component, TrainableComponent):
            component.finish_update(optimizer)
    optimizer.step_schedules()
    return losses
