"""What a run is made of, so that one that goes on is the one that was stopped.

The manifest holds all that decides the bytes of the output. What does not, such as the number of
workers or how progress is shown, is not in it and may change from one run to the next.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import Errors
from ...files import files_under, write_json
from ...packages import installed
from ...weights.checksum import sha256_of
from ..reading.input_files import InputFile

FILE = "manifest.json"
FORMAT = 1  # goes up when the same settings and inputs give another output
PACKAGES = ("spacy-llm-tasks", "spacy", "thinc", "torch", "numpy", "pyarrow")
MOST_NAMED = 10


def describe(
    *,
    pipeline: Path,
    files: Sequence[InputFile],
    settings: Mapping[str, Any],
    on_block: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Name all that decides the output of a run.

    pipeline (Path): Folder of the pipeline.
    files (Sequence[InputFile]): The corpus, which is read once for its checksums.
    settings (Mapping): All settings that change the output, by name.
    on_block (Callable | None): Called for each MB that is read of the corpus; may raise, to stop.
    RETURNS (dict): Sections of values by name, in JSON's types.
    RAISES (OSError): If a file cannot be read.
    """
    found = {
        "format": {"version": FORMAT},
        "pipeline": {name: digest for name, digest in _checksums(pipeline)},
        "inputs": {file.name: sha256_of(Path(file.path), on_block=on_block) for file in files},
        "settings": dict(settings),
        "packages": installed(PACKAGES),
    }
    # Through JSON, because it is compared with one that was read from a file.
    return dict(json.loads(json.dumps(found)))


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read what the run in a folder is made of.

    folder (Path): The output folder.
    RETURNS (dict | None): What `describe` gave; None if there is none.
    RAISES (ValueError): If it is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf8"))
        if not all(isinstance(found[section], dict) for section in ("inputs", "settings")):
            raise ValueError("sections are missing")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(Errors.E842.format(path=path, problem=error)) from error
    return dict(found)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write what a run is made of, whole or not at all."""
    write_json(folder / FILE, manifest)


def require_same(saved: Mapping[str, Any], now: Mapping[str, Any], *, folder: Path) -> None:
    """Refuse to go on with another run's output.

    saved (Mapping): What `describe` gave then.
    now (Mapping): What it gives now.
    folder (Path): The output folder, for the message.
    RAISES (ValueError): With the names of what has changed.
    """
    changes = list(changes_between(saved, now))
    if changes:
        shown = [f"  {change}" for change in changes[:MOST_NAMED]]
        if len(changes) > MOST_NAMED:
            shown.append(f"  and {len(changes) - MOST_NAMED:,} more")
        raise ValueError(Errors.E841.format(folder=folder, changes="\n".join(shown)))


def changes_between(saved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Tell what has changed, for people.

    saved (Mapping): What `describe` gave then.
    now (Mapping): What it gives now.
    YIELDS (str): A change: of a file its name, of a setting its values.
    """
    nouns = {"inputs": "input file", "pipeline": "file of the pipeline"}
    shown = {"format": "layout of the output", "settings": "setting", "packages": "package"}
    for section in now:
        old, new = saved.get(section, {}), now[section]
        if section == "inputs" and list(old) != list(new) and old.keys() == new.keys():
            yield "the order of the input files"
        for name in sorted(old.keys() | new.keys()):
            if name in old and name in new and old[name] == new[name]:
                continue
            if section in nouns:
                kind = (
                    "is missing" if name not in new else "is new" if name not in old else "differs"
                )
                yield f"{nouns[section]} {name}: {kind}"
            else:
                was, value = old.get(name), new.get(name)
                yield f"{shown[section]} {name}: {was!r} -> {value!r}"


def _checksums(folder: Path) -> Iterator[tuple[str, str]]:
    for path in files_under(folder):
        if "__pycache__" not in path.parts:
            name = path.name if path == folder else path.relative_to(folder).as_posix()
            yield name, sha256_of(path)


def combined(checksums: Mapping[str, str]) -> str:
    """RETURNS (str): One sha256 for a section of checksums."""
    listing = "".join(f"{name} {digest}\n" for name, digest in sorted(checksums.items()))
    return hashlib.sha256(listing.encode("utf8")).hexdigest()
