"""`train`: a config and data to a trained pipeline, resumable."""

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, cast

import typer

from ._config import CodeOption, GpuOption, import_code, split_arguments, use_device
from ._run import friendly

if TYPE_CHECKING:
    from spacy.language import Language

    from ..training.run import Run

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}
OPTIONS = ["--output", "--only", "--resume", "--no-resume", "--gpu-id", "--code", "--help"]
OPTIONS += ["--calibrate", "--no-calibrate", "--checkpoints", "--no-checkpoints"]


@friendly()
def command(
    context: typer.Context,
    config: Annotated[str, typer.Argument(help="A spaCy training config (.cfg).")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for model-best, model-last and checkpoints."),
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[,NAME]",
            help="Train these components of the pipeline alone, with what they need of it.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            help="Go on from the last checkpoint in --output. Starts at the beginning if there is "
            "none, so scripts can always pass it."
        ),
    ] = False,
    gpu_id: GpuOption = -1,
    code: CodeOption = None,
    calibrate: Annotated[
        bool,
        typer.Option(help="After training, calibrate the scores of model-best on the dev data."),
    ] = True,
    checkpoints: Annotated[
        bool, typer.Option(help="Write a checkpoint at every evaluation and when stopped.")
    ] = True,
) -> None:
    """Train a pipeline. Settings of the config are replaced by options of the same dotted name:

        train config.cfg --output training/mine --paths.train train.spacy --training.max_steps 500

    Every key of the config must be known: a misspelt one is refused, with the nearest right one.

    Ctrl-C (or SIGTERM) ends the current step and saves everything; a second one stops at once.
    With --resume the run goes on from there, or from the last evaluation if it was killed, to the
    same weights that it would have reached undisturbed. The config and the data must be the same.

    With --only the others are taken out of the config, which is saved so: what a task scores alone
    shows what it costs to share the encoder (`report --single`). The encoder stays, and so do
    components that give what a named one requires: `--only trf_relation` trains `trf_ner` too,
    whose entities it reads.

    The same config trains the same weights with `spacy train`.
    """
    arguments, overrides = split_arguments([config, *context.args], OPTIONS, most=1)
    if not arguments:
        raise typer.BadParameter("missing, after all the settings", param_hint="CONFIG")
    import_code(code)
    use_device(gpu_id)
    train_config(
        Path(arguments[0]),
        output,
        overrides=overrides,
        only=[name.strip() for names in only or () for name in names.split(",")],
        resume=resume,
        gpu_id=gpu_id,
        calibrate=calibrate,
        checkpoints=checkpoints,
    )


def train_config(
    config_path: Path,
    output: Path,
    *,
    overrides: dict[str, Any],
    only: Sequence[str] = (),
    resume: bool = False,
    gpu_id: int = -1,
    calibrate: bool = True,
    checkpoints: bool = True,
) -> None:
    """Check a config, train it and calibrate what was trained. The arguments are the command's.

    RAISES (ValueError): If config or data are wrong, or a run cannot be resumed.
    RAISES (typer.Exit): With 128 plus the signal's number, if a signal stopped the training.
    """
    from spacy.training.initialize import init_nlp
    from thinc.api import ConfigValidationError

    from ..interrupts import TrainingStopped
    from ..training.config_check import explain, read_config
    from ..training.loop import train
    from ..training.single import reduce_config

    # The whole config is checked: that a mistake is in a part that is not needed does not mend it.
    config = read_config(config_path, overrides)
    if only:
        config, kept = reduce_config(config, only)
        for name, why in kept.items():
            _say(f"{name} is kept: {why}")
    if "optimizer" in config.get("training", {}):
        # spaCy resolves this block alone when a saved pipeline is asked to `resume_training`, and
        # would then meet references to the rest of the config as plain text.
        config["training"]["optimizer"] = config.interpolate()["training"]["optimizer"]
    _say(f"Initializing the pipeline of {config_path}")
    try:
        nlp = init_nlp(config, use_gpu=gpu_id)
        with _Progress(nlp) as progress:
            nlp, _ = train(
                nlp,
                output,
                use_gpu=gpu_id,
                resume=resume,
                checkpoints=checkpoints,
                stdout=progress.stdout,
                stderr=sys.stderr,
                on_step=progress.update,
            )
    except ConfigValidationError as error:
        raise ValueError(explain(error)) from error
    except TrainingStopped as stop:
        goes_on = "add --resume to go on from there" if checkpoints else "model-last is saved"
        _say(f"Stopped after step {stop.step}: {goes_on}.")
        raise typer.Exit(128 + stop.signum) from stop
    if calibrate and can_be_calibrated(nlp):
        calibrate_best(output / "model-best")


def can_be_calibrated(nlp: "Language") -> list[str]:
    """RETURNS (list[str]): Names of the components with a `calibrate` method."""
    return [name for name, proc in nlp.pipeline if callable(getattr(proc, "calibrate", None))]


def calibrate_best(path: Path) -> None:
    """Calibrate the scores of a trained pipeline on its dev data, and save it again.

    path (Path): The pipeline. Left as it is if the data does not suffice, and this is said.
    """
    import spacy

    from ..files import whole_folder
    from ..training.calibrate import calibrate_pipeline
    from ..training.dev_data import dev_examples

    nlp = spacy.load(path)
    _say(f"Calibrating {', '.join(can_be_calibrated(nlp))}")
    try:
        report = calibrate_pipeline(nlp, dev_examples(nlp))
    except ValueError as error:
        # Training is done and saved by now: this is no reason to call it a failure.
        typer.secho(f"Not calibrated: {error}", fg=typer.colors.YELLOW, err=True)
        return
    with whole_folder(path) as part:
        nlp.to_disk(part)
    _say(str(report))


class _Progress:
    """A bar of steps on a terminal, nothing elsewhere; the logger's lines stay whole above it."""

    def __init__(self, nlp: "Language") -> None:
        from tqdm import tqdm

        training = nlp.config.interpolate()["training"]
        # A logger with a bar of its own keeps it.
        own_bar = bool(training["logger"].get("progress_bar"))
        self._bar = tqdm(
            total=training["max_steps"] or None,
            disable=own_bar or not sys.stderr.isatty(),
            unit="step",
            leave=False,
        )
        self.stdout = cast(IO[str], _AboveBar(tqdm.write))

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def update(self, run: "Run") -> None:
        self._bar.update(run.step - self._bar.n)


class _AboveBar(io.TextIOBase):
    """A stream whose text is written above the bar.

    write (Callable): tqdm's.
    """

    def __init__(self, write: Callable[..., None]) -> None:
        self._write = write

    def write(self, text: str) -> int:
        self._write(text, file=sys.stdout, end="")
        return len(text)

    def flush(self) -> None:
        sys.stdout.flush()


def _say(text: str) -> None:
    typer.echo(text)
