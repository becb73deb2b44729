"""`pretrain`: raw text to an encoder, a decoder or both, resumable, on one machine or many."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ._config import split_arguments
from ._run import debugging, friendly

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}
OPTIONS = ["--output", "--resume", "--no-resume", "--device", "--threads", "--max-minutes"]
OPTIONS += ["--max-steps", "--tensorboard", "--help"]
DEVICES = re.compile(r"auto|cpu|cuda(:\d{1,2})?")


@friendly()
def command(
    context: typer.Context,
    config: Annotated[str, typer.Argument(help="A pretraining config (.cfg).")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for the model, its checkpoints and the log."),
    ],
    resume: Annotated[
        bool,
        typer.Option(
            help="Go on from the last checkpoint in --output. Starts at the beginning if there is "
            "none, so scripts can always pass it."
        ),
    ] = False,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:N, or auto: a GPU where there is one.")
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="torch threads on the CPU. Default: one for each core."),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="Stands for --training.max_minutes.")
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(
            help="Stands for --training.max_steps. The config's minutes hold as well: the run ends "
            "with whichever is used up first. Lift them by --training.max_minutes null."
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard, if that package is installed.")
    ] = None,
) -> None:
    """Pretrain a Transformer. Settings of the config are replaced by options of the same name:

        pretrain configs/pretraining/encoder.cfg --output pretrained/mine --paths.corpus texts/
            --model.size small --max-minutes 60

    Makes of the texts a corpus (cleaned, without duplicates, part of it held out), a tokenizer
    unless one is given, and a model: --output/model, which `trf_encoder` and other libraries load.
    The log is --output/log.jsonl, its curves are --output/curves.html.

    Ctrl-C (or SIGTERM) ends the current step and saves everything; a second one stops at once. With
    --resume the run goes on from there, or from the last evaluation if it was killed, to the same
    losses that it would have reached undisturbed. It may be made longer then; other settings than
    those of its length, learning rates, evaluations and checkpoints must be the same.

    On several processes or machines, the same command by torchrun:

        torchrun --nproc-per-node 2 -m spacy_llm_tasks pretrain CONFIG --output DIR
    """
    arguments, overrides = split_arguments([config, *context.args], OPTIONS, most=1)
    if not arguments:
        raise typer.BadParameter("missing, after all the settings", param_hint="CONFIG")
    for name, value in (("max_minutes", max_minutes), ("max_steps", max_steps)):
        if value is not None:
            overrides[f"training.{name}"] = value
    pretrain_config(
        Path(arguments[0]),
        output,
        overrides=overrides,
        resume=resume,
        device=device,
        threads=threads,
        tensorboard=tensorboard,
    )


def pretrain_config(
    config_path: Path,
    output: Path,
    *,
    overrides: Mapping[str, Any],
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    tensorboard: Path | None = None,
) -> None:
    """Check a config and run it. The arguments are the command's.

    RAISES (ValueError): If the config or the text is wrong, or a run cannot be resumed.
    RAISES (typer.Exit): With 128 plus the signal's number, if a signal stopped the run; with 1 in
        processes of a team that fail as another one does, which says why.
    """
    import torch

    from ..interrupts import StopSignals
    from ..pretraining.optimisation.allocator import keep_memory
    from ..pretraining.run import pretrain
    from ..pretraining.settings import Settings
    from ..pretraining.team.distributed import ToldByFirst

    # The processes of a machine read the same file.
    with _told_elsewhere(ValueError, unless=os.environ.get("LOCAL_RANK", "0") == "0"):
        place = _device(device)
        settings = Settings.from_dict(read_config(config_path, overrides))
    if threads is not None:
        torch.set_num_threads(threads)
    # Here and not in the library: this process is ours alone.
    keep_memory()
    with (
        _told_elsewhere(ToldByFirst),
        StopSignals() as signals,
        _Board(tensorboard) as board,
        _Bar() as bar,
    ):

        def on_line(line: Mapping[str, Any], share: float) -> None:
            bar.show(line, share)
            board.add(line)

        result = pretrain(
            settings,
            output,
            resume=resume,
            device=place,
            readers={".spacy": _spacy_texts},
            say=bar.say,
            on_line=on_line,
            stop=lambda: signals.received is not None,
        )
    if signals.received is not None and not result.is_over:
        if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
            typer.echo(f"Stopped after step {result.step}: add --resume to go on from there.")
        raise typer.Exit(128 + signals.received)


def read_config(path: Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Read a config file.

    path (Path): INI with JSON values and references, as spaCy's configs are.
    overrides (Mapping): Values by dotted key.
    RETURNS (dict): Sections by name, references resolved.
    RAISES (ValueError): If it cannot be read.
    """
    from thinc.api import Config

    from ..errors import Errors

    if not path.is_file():
        raise ValueError(Errors.E766.format(path=path, problem="there is no such file"))
    try:
        sections = Config().from_disk(path, interpolate=False)
        for name, value in overrides.items():
            *place, key = name.split(".")
            section: Any = sections
            for part in place:
                # a section that the file leaves out may be set too
                section = section.setdefault(part, {})
                if not isinstance(section, dict):
                    raise ValueError(f"--{name} sets a part of '{part}', which is no section")
            section[key] = value
        return dict(Config(sections).interpolate())
    except ValueError as error:
        raise ValueError(Errors.E766.format(path=path, problem=error)) from error


@contextmanager
def _told_elsewhere(kind: type[Exception], *, unless: bool = False) -> Iterator[None]:
    """End this process in silence on an error that another one reports.

    kind (type): Of the error.
    unless (bool): Whether this process is the one that reports it.
    """
    try:
        yield
    except kind as error:
        if unless or debugging():
            raise
        raise typer.Exit(1) from error


def _spacy_texts(path: Path) -> Iterator[str]:
    """Read a `.spacy` file; only then is spaCy needed, which takes a second to import."""
    from ..corpora.spacy_texts import spacy_texts

    return spacy_texts(path)


def _device(name: str) -> str:
    """RETURNS (str): The device of torch. RAISES (ValueError): None that a run can use."""
    import torch

    from ..errors import Errors

    if not DEVICES.fullmatch(name):
        expected = "auto, cpu, cuda or cuda:N"
        raise ValueError(Errors.E706.format(name="--device", expected=expected, found=name))
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


class _Bar:
    """A bar on a terminal, with speed, loss and time left; plain lines elsewhere."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._is_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=100,
            disable=not self._is_terminal,
            leave=False,
            bar_format="{percentage:3.0f}%|{bar}|{postfix}",
        )

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        self._bar.write(text, file=sys.stdout)

    def show(self, line: Mapping[str, Any], share: float) -> None:
        """Show a line of the log. On a terminal the bar takes what there is of training, so that
        lines are left for what was held out.

        line (Mapping): The line.
        share (float): How much of the run is done.
        """
        if "train" in line and self._is_terminal:
            self._bar.n = round(100 * share, 1)
            self._bar.set_postfix_str(describe(line))
        else:
            self.say(describe(line))


def describe(line: Mapping[str, Any]) -> str:
    """RETURNS (str): A line of the log for people."""
    parts = [f"step {line['step']:6}"]
    for group in ("train", "held-out"):
        for name, measures in line.get(group, {}).items():
            if name != "gradients":
                values = " ".join(f"{key} {value:.4g}" for key, value in measures.items())
                parts.append(f"{group} {name}: {values}")
    left_out = line.get("train", {}).get("gradients", {}).get("left_out", 0)
    if left_out:
        parts.append(f"{100 * left_out:.0f} % of the steps left out: gradients are no numbers")
    if "pieces_per_second" in line:
        parts.append(f"{line['pieces_per_second']:,.0f} pieces/s")
        parts.append(f"{line['minutes_left']:.1f} min left")
    return "  ".join([*parts, *(["(best)"] if line.get("best") else [])])


class _Board:
    """TensorBoard, where it is asked for.

    folder (Path | None): For its files; None: nothing is written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._writer: Any = None
        if folder is not None:  # that it is missing is told before hours of training
            _summary_writer()

    def __enter__(self) -> "_Board":
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line of the log."""
        from ..pretraining.curves import collect

        if self._folder is None:
            return
        if self._writer is None:  # of several processes, only the first comes here
            self._writer = _summary_writer()(str(self._folder))
        for name, curve in collect([line]).items():
            for step, value in curve:
                self._writer.add_scalar(name.replace(" ", "/"), value, int(step))


def _summary_writer() -> Any:
    from ..errors import Errors
    from ..packages import import_optional

    extras = "spacy-llm-tasks[pretrain]"
    found = {"what": "Files for TensorBoard", "package": "tensorboard", "extras": extras}
    module = import_optional("torch.utils.tensorboard", Errors.E707.format(**found))
    return module.SummaryWriter
