"""`info`: what is installed, and what is in a pipeline or a folder of weights."""

import json
import math
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import Errors
from ._pipeline import echo_pipeline, pipeline
from ._run import describe as describe_error
from ._run import friendly
from ._table import echo_facts
from ._units import size

PACKAGES = ("spacy-llm-tasks", "spacy", "thinc", "torch", "tokenizers", "safetensors", "numpy")
OPTIONAL_PACKAGES = ("spacy-transformers", "transformers")
# The same size has a name per family of checkpoints.
SIZES = {
    "width": ("hidden_size", "dim"),
    "depth": ("num_hidden_layers", "n_layers"),
    "heads": ("num_attention_heads", "n_heads"),
    "feed-forward width": ("intermediate_size", "hidden_dim"),
    "pieces": ("vocab_size",),
    "longest input": ("max_position_embeddings",),
}


@friendly()
def command(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A pipeline (meta.json), or weights (config.json and model.safetensors)."
        ),
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With weights: count operations for sequences of so many pieces. Default: the "
            "longest.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show versions and the machine; or what a pipeline or a folder of weights holds.

    info
    info training/mine/model-best
    info weights/minilm-l6

    Of weights: what kind of model they are, how many parameters it has and where, how many bytes
    its weights take when linear layers are float32, bfloat16 or 8-bit integers (the float32 ones
    are kept besides), how many training takes at least and a decoder keeps of a sequence that it
    writes, and how much it computes for a piece: 2 operations for each weight of a linear layer
    (Kaplan et al. 2020) and 4 for each column and piece that attention looks at (Chowdhery et al.
    2022), three times as much in training.
    """
    if path is None:
        here = {"packages": versions(), "machine": machine()}
        if as_json:
            _echo_json(here)
            return
        for name, facts in here.items():
            echo_facts(facts, title=name.capitalize())
    elif (path / "meta.json").is_file():
        found = pipeline(path)
        if as_json:
            _echo_json(found)
        else:
            echo_pipeline(path, found)
    elif (path / "config.json").is_file():
        echo_weights(path, length=length, as_json=as_json)
    elif (path / "model" / "config.json").is_file():
        from ..pretraining.looking.folder import kind_in

        kind_in(path)  # raises: the folder of a pretraining run, whose model lies one below
    else:
        raise ValueError(Errors.E518.format(path=path))


def echo_weights(path: Path, *, length: int | None, as_json: bool) -> None:
    """Print what a folder of weights holds; of a model that we do not have, what its files say.

    RAISES (ValueError): If its files cannot be read.
    """
    from ..pretraining.looking.description import describe
    from ._checkpoint import echo_checkpoint

    try:
        description = describe(path)
    except (ValueError, FileNotFoundError) as error:
        facts = weights(path)
        reason = {"cannot be used": describe_error(error)}
        if as_json:
            _echo_json({**facts, **reason})
        else:
            echo_facts({**facts, **reason}, title=f"Weights {path}")
        return
    if length is not None:
        description = describe(path, length=length)
    if as_json:
        _echo_json(description.to_dict())
    else:
        echo_checkpoint(path, description)


def versions() -> dict[str, str]:
    """RETURNS (dict[str, str]): Versions of the packages, read without importing them."""
    found = {"python": platform.python_version()}
    for package in (*PACKAGES, *OPTIONAL_PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def machine() -> dict[str, str]:
    """RETURNS (dict[str, str]): What computations run on here."""
    import torch

    from ..nn import kernels

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    facts = {
        "system": f"{platform.system()} {platform.machine()}",
        "CPU cores": str(os.cpu_count()),
        "torch threads": str(torch.get_num_threads()),
        "CPU instructions": torch.backends.cpu.get_cpu_capability(),
        "GPU": ", ".join(gpus) or "none",
    }
    if hasattr(kernels, "current"):
        facts["kernel of linear layers"] = str(kernels.current())
    return facts


def weights(path: Path) -> dict[str, str]:
    """Describe a folder in the published layout, without loading its weights.

    path (Path): The folder.
    RETURNS (dict[str, str]): Family, sizes, number of values, special pieces.
    RAISES (ValueError): If the files cannot be read.
    """
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf8"))
    except ValueError as error:
        raise ValueError(Errors.E519.format(path=path / "config.json", error=error)) from error
    facts = {"family": str(config.get("model_type", "not said"))}
    for name, keys in SIZES.items():
        value = next((config[k] for k in keys if k in config), None)
        if value is not None:
            facts[name] = f"{value:,}"
    tensors = path / "model.safetensors"
    if tensors.is_file():
        shapes = dict(tensor_shapes(tensors))
        facts["parameters"] = f"{sum(math.prod(s) for s in shapes.values()):,}"
        facts["tensors"] = str(len(shapes))
        facts["on disk"] = size(tensors.stat().st_size)
    else:
        facts["parameters"] = "no model.safetensors here"
    facts.update(special_pieces(path))
    return facts


def tensor_shapes(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """YIELDS (tuple): Name and shape of each tensor of a safetensors file, from its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            for name in tensors.keys():
                yield name, tuple(tensors.get_slice(name).get_shape())
    except SafetensorError as error:
        raise ValueError(Errors.E519.format(path=path, error=error)) from error


def special_pieces(path: Path) -> dict[str, str]:
    """RETURNS (dict[str, str]): Ids of the tokenizer's special pieces, if it lies there."""
    if not any((path / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        return {"tokenizer": "none here"}
    from dataclasses import asdict

    from ..tokenization import PieceTokenizer

    try:
        special = asdict(PieceTokenizer.from_folder(path).special)
    except ValueError as error:
        return {"tokenizer": f"cannot be read: {error}"}
    return {"special pieces": ", ".join(f"{k} {v}" for k, v in special.items() if v is not None)}


def _echo_json(found: dict[str, Any]) -> None:
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
