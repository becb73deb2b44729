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
from ._run import friendly
from ._table import echo_facts, echo_table

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
) -> None:
    """Show versions and the machine; or what a pipeline or a folder of weights holds.

    info
    info training/mine/model-best
    info weights/minilm-l6
    """
    if path is None:
        echo_facts(versions(), title="Packages")
        echo_facts(machine(), title="Machine")
    elif (path / "meta.json").is_file():
        echo_pipeline(path)
    elif (path / "config.json").is_file():
        echo_facts(weights(path), title=f"Weights {path}")
    else:
        raise ValueError(Errors.E518.format(path=path))


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


def echo_pipeline(path: Path) -> None:
    """Load a pipeline and print its components, their labels, parameters and files."""
    import spacy

    nlp = spacy.load(path)
    meta = nlp.meta
    echo_facts(
        {
            "name": f"{meta['lang']}_{meta['name']} {meta['version']}",
            "made with spaCy": str(meta["spacy_version"]),
            "on disk": size(sum(bytes_under(path))),
            **{
                name: f"{value:.4f}"
                for name, value in meta.get("performance", {}).items()
                if isinstance(value, float)
            },
        },
        title=f"Pipeline {path}",
    )
    rows = [["component", "factory", "parameters", "on disk", "labels"]]
    labels = {}
    for name, proc in nlp.components:
        labels[name] = list(getattr(proc, "labels", ()))
        rows.append(
            [
                name,
                nlp.get_pipe_meta(name).factory,
                f"{parameters(getattr(proc, 'model', None)):,}",
                size(sum(bytes_under(path / name))),
                str(len(labels[name])),
            ]
        )
    echo_table(rows, title="Components")
    echo_facts({k: ", ".join(map(str, v)) for k, v in labels.items() if v}, title="Labels")


def parameters(model: Any) -> int:
    """RETURNS (int): Number of trained values in a thinc model, torch modules in it included."""
    from thinc.api import Model

    if not isinstance(model, Model):
        return 0
    count = 0
    for node in model.walk():
        count += sum(node.get_param(n).size for n in node.param_names if node.has_param(n))
        for shim in node.shims:
            module = getattr(shim, "_model", None)
            if module is not None and hasattr(module, "parameters"):
                count += sum(p.numel() for p in module.parameters())
    return count


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

    special = asdict(PieceTokenizer.from_folder(path).special)
    return {"special pieces": ", ".join(f"{k} {v}" for k, v in special.items() if v is not None)}


def bytes_under(path: Path) -> Iterator[int]:
    """YIELDS (int): The size of each file below a folder."""
    return (p.stat().st_size for p in path.rglob("*") if p.is_file())


def size(n_bytes: int) -> str:
    """RETURNS (str): A number of bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes} B"
