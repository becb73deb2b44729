"""The files that a run reads, found under the paths, folders and patterns that were given."""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ...errors import Errors
from ...streams import COMPRESSIONS, STDIN

INPUT_FORMATS = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".spacy": "spacy",
}
STREAMED = ("txt", "jsonl", "csv", "tsv")  # the others compress inside, and need to be seekable
_EXPECTED = ", ".join(INPUT_FORMATS)
# What is passed by, beside suffixes.
_LINK, _NO_FILE, _NO_SUFFIX, _OTHER = "link to a folder", "no regular file", "no suffix", "other"
_KIND = re.compile(r"(\.[a-z][a-z0-9_+-]{0,11}){1,2}")
_MOST_KINDS = 5


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to be read.

    name (str): What ids and messages call it: its path below the folder that was given, with "/"
        between the parts; unique in a run, and the same wherever that folder is mounted. It is
        never used as a path.
    path (str): Where it is; "-" for the standard input.
    format (str): One of "txt", "jsonl", "csv", "tsv", "parquet" and "spacy".
    """

    name: str
    path: str
    format: str


@dataclass(slots=True)
class _Found:
    path: Path
    format: str
    n_parts: int  # of the path's last parts that make up the name


def find_inputs(
    inputs: Sequence[str | Path],
    *,
    stdin_format: str = "jsonl",
    exclude: str | Path | None = None,
    passed_by: Counter[str] | None = None,
) -> list[InputFile]:
    """Find the files that inputs stand for.

    The order is that of the inputs; what a folder or a pattern stands for is sorted by name. A file
    that is reached twice is read once. Folders are searched at any depth; names that begin with a
    dot are passed by, and so are links to folders, which may lead in circles.

    inputs (Sequence[str | Path]): Files (`.txt`, `.jsonl`, `.ndjson`, `.csv`, `.tsv`, the same with
        `.gz` or `.zst` behind, `.parquet`, `.spacy`), folders, patterns such as `news/*.jsonl.gz`,
        and "-", the standard input.
    stdin_format (str): What the standard input is: "txt", "jsonl", "csv" or "tsv".
    exclude (str | Path | None): A folder in which nothing is looked for: a run's own output.
    passed_by (Counter[str] | None): Takes how many files of folders are of no known kind, by
        suffix, and how much else is passed by; `shown_passed_by` says it in words.
    RETURNS (list[InputFile]): The files, at least one.
    RAISES (ValueError): For an input that names nothing, a file of another kind, or a file or
        folder that cannot be read, with its name.
    """
    passed_by = Counter() if passed_by is None else passed_by
    excluded = None if exclude is None else os.path.realpath(exclude)
    found: dict[str, _Found] = {}
    for given in inputs:
        if str(given) == STDIN:
            if stdin_format not in STREAMED:
                expected = "one of " + ", ".join(STREAMED)
                raise ValueError(
                    Errors.E806.format(name="stdin_format", expected=expected, found=stdin_format)
                )
            found.setdefault(STDIN, _Found(Path(STDIN), stdin_format, 1))
            continue
        for real, file in _expand(Path(given).expanduser(), excluded, passed_by):
            found.setdefault(real, file)
    if not found:
        raise _nothing(", ".join(map(str, inputs)), passed_by)
    names = _names(list(found.values()))
    return [
        InputFile(name, str(file.path), file.format)
        for name, file in zip(names, found.values(), strict=True)
    ]


def format_of(path: PurePath) -> str | None:
    """RETURNS (str | None): How a file is read, by its suffix without that of a compression; None
    for one of no known kind."""
    suffix = path.suffix.lower()
    if suffix in COMPRESSIONS:
        inner = INPUT_FORMATS.get(PurePath(path.stem).suffix.lower())
        return inner if inner in STREAMED else None
    return INPUT_FORMATS.get(suffix)


def shown_passed_by(passed_by: Mapping[str, int]) -> str:
    """Say what `find_inputs` has passed by.

    passed_by (Mapping[str, int]): Kind -> how many.
    RETURNS (str): Such as "3 files of other kinds (.json, .bz2) and 1 link to a folder"; "" if it
        was nothing.
    """
    counts = dict(passed_by)
    others = (
        (counts.pop(_LINK, 0), "link to a folder", "links to folders"),
        (counts.pop(_NO_FILE, 0), "pipe or device", "pipes or devices"),
    )
    parts = []
    if n := sum(counts.values()):
        kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
        more = ["..."] if len(kinds) > _MOST_KINDS else []
        words = "file of another kind" if n == 1 else "files of other kinds"
        parts.append(f"{n:,} {words} ({', '.join(kinds[:_MOST_KINDS] + more)})")
    parts += [f"{n:,} {one if n == 1 else several}" for n, one, several in others if n]
    return " and ".join(parts)


def _nothing(path: object, passed_by: Mapping[str, int]) -> ValueError:
    there = shown_passed_by(passed_by)
    found = f" (found: {there})" if there else ""
    return ValueError(Errors.E800.format(path=path, found=found, expected=_EXPECTED))


def _kind(path: PurePath) -> str:
    """What a file that is passed by counts as. What a name has behind a dot may be anything."""
    suffixes = path.suffixes[-2:] if path.suffix.lower() in COMPRESSIONS else [path.suffix]
    kind = "".join(suffixes).lower()
    if not kind:
        return _NO_SUFFIX
    return kind if _KIND.fullmatch(kind) else _OTHER


def _expand(
    path: Path, excluded: str | None, passed_by: Counter[str]
) -> Iterator[tuple[str, _Found]]:
    """(real path, file) of each file that a path stands for."""
    absolute = Path(os.path.abspath(path))
    if path.is_dir():
        here: Counter[str] = Counter()
        files = sorted(_walk(absolute, excluded, here), key=lambda pair: pair[1].path.parts)
        passed_by.update(here)
        if not files:
            raise _nothing(path, here)
        yield from files
        return
    if path.exists():
        matches, base = [absolute], absolute.parent
    else:
        base = _fixed_part(absolute)
        reached = map(Path, glob.glob(str(absolute), recursive=True))
        matches = sorted(filter(Path.is_file, reached), key=lambda match: match.parts)
    if not matches:
        raise _nothing(path, Counter())
    for match in matches:
        format = format_of(match)
        if format is None or not match.is_file():
            raise ValueError(Errors.E801.format(path=match, expected=_EXPECTED))
        _check_readable(match)
        real = os.path.realpath(match)
        if excluded is None or not PurePath(real).is_relative_to(excluded):
            yield real, _Found(match, format, len(match.parts) - len(base.parts))


def _walk(
    folder: Path, excluded: str | None, passed_by: Counter[str]
) -> Iterator[tuple[str, _Found]]:
    def refuse(error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        raise ValueError(Errors.E802.format(path=error.filename, reason=reason)) from error

    for here, folders, files in os.walk(folder, onerror=refuse):
        real_here = os.path.realpath(here)
        if excluded is not None and PurePath(real_here).is_relative_to(excluded):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        if n_links := sum(os.path.islink(os.path.join(here, name)) for name in folders):
            passed_by[_LINK] += n_links
        for name in files:
            if name.startswith("."):
                continue
            path = Path(here, name)
            format = format_of(path)
            if format is None:
                passed_by[_kind(path)] += 1
                continue
            _check_readable(path)
            if not path.is_file():  # a pipe or a device, which may never end
                passed_by[_NO_FILE] += 1
                continue
            real = os.path.realpath(path) if path.is_symlink() else os.path.join(real_here, name)
            yield real, _Found(path, format, len(path.parts) - len(folder.parts))


def _check_readable(path: Path) -> None:
    if not os.access(path, os.R_OK):
        reason = "permission denied" if path.exists() else "a link to nothing"
        raise ValueError(Errors.E802.format(path=path, reason=reason))


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before the first with a wildcard."""
    fixed = Path(pattern.anchor)
    for part in pattern.parts[len(fixed.parts) : -1]:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed


def _names(files: Sequence[_Found]) -> list[str]:
    """Unique names: those of files that are named alike get the folder in front under which they
    were found, and where that is not enough a number behind."""
    names = [_name(file) for file in files]
    longest = [file.n_parts + 1 for file in files]
    grown = True
    while grown:
        counts = Counter(names)
        grown = False
        for i, file in enumerate(files):
            if counts[names[i]] > 1 and file.n_parts < longest[i]:
                file.n_parts += 1
                names[i] = _name(file)
                grown = True
    seen: Counter[str] = Counter()
    for i, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:  # no file is named so: none of its kind would be read
            names[i] = f"{name}~{seen[name]}"
    return names


def _name(file: _Found) -> str:
    if str(file.path) == STDIN:
        return "stdin"
    name = "/".join(file.path.parts[-file.n_parts :])
    # Names may hold line ends, escape sequences and bytes that are no UTF-8: none is let through.
    shown = (char if char.isprintable() and char != "\\" else ascii(char)[1:-1] for char in name)
    return "".join(shown)
