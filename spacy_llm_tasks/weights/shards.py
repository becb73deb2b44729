"""Weights that lie in several files, as large checkpoints are published.

    model.safetensors.index.json        {"metadata": ..., "weight_map": {name: file}}
    model-00001-of-00002.safetensors    some of the parameters
    model-00002-of-00002.safetensors    the others

(The layout is that of `transformers` and `huggingface_hub`.) The index and the files are checked
against each other before anything is read. A name of a file that leads out of the folder is
refused: an index comes from strangers as weights do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..errors import Errors

INDEX_FILE = "model.safetensors.index.json"
SUFFIX = ".safetensors"


class Shards:
    """Open files that are read like a single one.

    files (Mapping[str, safe_open]): The files by name.
    places (Mapping[str, str]): Name of a parameter -> name of its file.
    """

    def __init__(self, files: Mapping[str, Any], places: Mapping[str, str]) -> None:
        self._files = files
        self._places = places

    def keys(self) -> list[str]:
        """RETURNS (list[str]): The names of all parameters."""
        return list(self._places)

    def get_slice(self, name: str) -> Any:
        """RETURNS (Any): A parameter's header, and its numbers on demand."""
        return self._files[self._places[name]].get_slice(name)

    def get_tensor(self, name: str) -> Any:
        """RETURNS (Tensor): A parameter."""
        return self._files[self._places[name]].get_tensor(name)


def read_index(path: Path) -> dict[str, str]:
    """Read which parameter lies in which file.

    path (Path): The index.
    RETURNS (dict[str, str]): Name of a parameter -> name of a file beside the index.
    RAISES (ValueError): It is broken, or names a file anywhere else.
    """
    try:
        places = json.loads(path.read_text(encoding="utf8"))["weight_map"]
        if not places or not all(isinstance(file, str) for file in places.values()):
            raise ValueError("weight_map must give each parameter the name of its file")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise ValueError(Errors.E144.format(path=path, error=reason)) from error
    for name in set(places.values()):
        # a backslash separates folders on Windows alone, but an index is read everywhere
        if Path(name).name != name or "\\" in name or not name.endswith(SUFFIX):
            raise ValueError(Errors.E145.format(path=path, name=name))
    return dict(places)


def files_of(index: Path) -> list[Path]:
    """RETURNS (list[Path]): The files that an index names, sorted."""
    return [index.with_name(name) for name in sorted(set(read_index(index).values()))]


@contextmanager
def open_shards(index: Path, device: str) -> Iterator[Shards]:
    """Open all files of an index.

    index (Path): The index.
    device (str): Where the tensors go.
    YIELDS (Shards): The files.
    RAISES (FileNotFoundError): A file is missing.
    RAISES (ValueError): A file is broken, or holds other parameters than the index says.
    """
    places = read_index(index)
    paths = files_of(index)
    if missing := [path for path in paths if not path.is_file()]:
        values = {"path": missing[0], "n": len(missing), "total": len(paths)}
        raise FileNotFoundError(Errors.E146.format(index=index, **values))
    with ExitStack() as stack:
        files = {}
        for path in paths:
            try:
                file = stack.enter_context(safe_open(path, framework="pt", device=device))
            except SafetensorError as error:
                raise ValueError(Errors.E114.format(path=path, error=error)) from error
            promised = {name for name, place in places.items() if place == path.name}
            if differing := sorted(promised ^ set(file.keys())):
                holder = "index" if differing[0] in promised else "file"
                found = {"path": path, "name": differing[0], "holder": holder}
                raise ValueError(Errors.E147.format(index=index, **found))
            files[path.name] = file
        yield Shards(files, places)
