"""Whether other weights are worth starting from: a short training from each, and no score may fall.

Two trainings of the same config, seed and data differ only in the folder that the encoder is filled
from. Their scores on dev are compared one by one, those that `training.score_weights` gives weight
to. A short training cannot say by how much a long one would gain, but shows whether what the
encoder knew before was lost.
"""

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spacy.training.initialize import init_nlp
from thinc.api import Config

from .dev_data import dev_examples
from .loop import train

# A difference that rounding alone can make.
TOLERANCE = 1e-6
QUIET = {"@loggers": "spacy.ConsoleLogger.v3", "progress_bar": None, "output_file": None}


@dataclass(frozen=True)
class Adoption:
    """What came of a comparison.

    steps (int): Length of the trainings.
    before (dict[str, float]): Dev scores from the weights there were.
    after (dict[str, float]): Dev scores from the candidate.
    fallen (list[str]): The scores that are lower from the candidate.
    """

    steps: int
    before: dict[str, float]
    after: dict[str, float]
    fallen: list[str]

    @property
    def is_adopted(self) -> bool:
        """RETURNS (bool): Whether the candidate takes the place of the weights there were."""
        return not self.fallen

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): Fit for JSON."""
        return {**asdict(self), "adopted": self.is_adopted}

    def __str__(self) -> str:
        rows = [
            f"  {name:20} {self.before[name]:.4f} -> {self.after[name]:.4f}" for name in self.before
        ]
        verdict = "adopted" if self.is_adopted else f"not adopted: {', '.join(self.fallen)} fell"
        return "\n".join(
            [f"After {self.steps} steps on dev:", *rows, f"The candidate is {verdict}."]
        )


def compare(
    config: Config,
    *,
    weights: Path,
    candidate: Path,
    steps: int,
    use_gpu: int = -1,
    say: Callable[[str], None] = lambda text: None,
) -> Adoption:
    """Train briefly from two folders of weights.

    config (Config): A training config, not interpolated, whose encoder is filled from
        `paths.weights`.
    weights (Path): The folder there was.
    candidate (Path): The other one.
    steps (int): Updates of each training.
    use_gpu (int): Id of the GPU, -1 for the CPU.
    say (Callable): Takes lines about what is being done.
    RETURNS (Adoption): The scores, and what fell.
    """
    found = []
    for name, folder in (("weights", weights), ("candidate", candidate)):
        say(f"{steps} steps from the {name} {folder}")
        found.append(_try(config, folder, steps=steps, use_gpu=use_gpu))
    before, after = found
    fallen = [name for name in before if after[name] < before[name] - TOLERANCE]
    return Adoption(steps, before, after, fallen)


def _try(config: Config, weights: Path, *, steps: int, use_gpu: int) -> dict[str, float]:
    config = config.copy()
    config["paths"]["weights"] = str(weights)
    # The loop evaluates at step 0, as spaCy's does; then nothing but the end is looked at.
    config["training"] |= {"max_steps": steps, "eval_frequency": steps + 1, "logger": QUIET}
    nlp, _ = train(init_nlp(config, use_gpu=use_gpu), use_gpu=use_gpu, stdout=io.StringIO())
    scores = nlp.evaluate(dev_examples(nlp))
    weights_of = nlp.config.interpolate()["training"]["score_weights"]
    wanted = [name for name, weight in weights_of.items() if weight]
    return {name: scores[name] for name in wanted if isinstance(scores.get(name), int | float)}
