"""A pipeline whose encoder runs in onnxruntime, made from one whose encoder runs in PyTorch.

    OUTPUT/                             a spaCy pipeline, for `spacy.load`
        transformer/encoder/model.onnx  in the place of the weights, with the tokenizer beside it
        NAME/head.onnx                  for other programs: spaCy runs heads in PyTorch

Heads stay in PyTorch here because they take some percent of the time of a pass, and what is read
off their scores is Python anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import srsly
import torch
from spacy.language import Language
from thinc.api import Config, Model
from torch import Tensor

from ..errors import Errors
from ..files import whole_folder
from ..layers.encoder import shim_of, window_of
from ..layers.encoder_shim import EncoderShim
from ..layers.onnx_encoder import GRAPH, OnnxShim, State
from ..layers.task_head import shim_of as head_shim_of
from ..pipeline.encoder import EncoderComponent
from ..pipeline.task_pipe import TaskPipe
from .agreement import TOLERANCE, difference, head_difference, probes, rows_of, views_of
from .onnx_file import quantise, write_onnx
from .padded_encoder import PaddedEncoder
from .row_heads import FEATURES, LENGTHS, ROWS, row_head

PRECISIONS = ("fp32", "int8")
ARCHITECTURE = "spacy_llm_tasks.OnnxTransformer.v1"
HEAD = "head.onnx"
REQUIREMENT = "onnxruntime>=1.17"
# Why a component is left alone, for the user.
OWN_ENCODER = "has an encoder of its own, which stays in PyTorch"


@dataclass
class Exported:
    """What became of the components of a pipeline.

    encoders (dict): By component, the names of the graph's outputs.
    heads (dict): By component, the name of the graph's output.
    left (dict): By component, why its head was not exported.
    differences (dict): By component, the largest difference between its graph and PyTorch,
        relative to numbers above 1.
    """

    encoders: dict[str, list[str]] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): Plain values."""
        return asdict(self)


def export_pipeline(
    nlp: Language,
    path: Path,
    *,
    precision: str = "fp32",
    say: Callable[[str], None] = lambda line: None,
) -> Exported:
    """Write a copy of a pipeline that runs its encoders in onnxruntime.

    nlp (Language): The pipeline, which is not changed.
    path (Path): A folder that is not there yet.
    precision (str): "fp32", checked to be equal; or "int8", by onnxruntime's dynamic quantisation,
        whose differences are reported.
    say (Callable): Takes lines about what is being done.
    RETURNS (Exported): What was written, and how far it differs.
    RAISES (ImportError): The extra `onnx` is not installed.
    RAISES (ValueError): There is no encoder to export, it is one that cannot be, the folder is
        there, or a graph does not give what PyTorch gives.
    """
    if path.exists():
        raise ValueError(Errors.E912.format(path=path))
    encoders = _encoders_of(nlp)
    made = Exported()
    with whole_folder(path) as part, ExitStack() as stack:
        for name, encoder in encoders.items():
            say(f"Exporting {name}")
            graph = part / f"{name}.onnx"
            made.encoders[name] = _write_encoder(encoder, graph, precision=precision)
            docs = probes(nlp)
            expected = rows_of(encoder, docs)
            stack.enter_context(_runs(encoder.model, np.fromfile(graph, dtype=np.uint8)))
            graph.unlink()
            found = difference(rows_of(encoder, docs), expected)
            made.differences[name] = _checked(name, found, exact=precision == "fp32")
        say("Writing the pipeline")
        nlp.to_disk(part)
        for name, component in nlp.components:
            if isinstance(component, TaskPipe):
                say(f"Exporting {name}")
                _write_head(name, component, part / name / HEAD, made)
        _write_config(part, encoders)
    return made


def _encoders_of(nlp: Language) -> dict[str, EncoderComponent]:
    """The encoders of a pipeline, all of which can be exported."""
    found = {name: part for name, part in nlp.components if isinstance(part, EncoderComponent)}
    if not found:
        raise ValueError(Errors.E906.format(found=", ".join(nlp.component_names) or "none"))
    for name, encoder in found.items():
        shim = shim_of(encoder.model)
        if isinstance(shim, OnnxShim):
            raise ValueError(Errors.E907.format(name=name))
        if not shim.is_built:
            raise ValueError(Errors.E401.format(role=shim.role))
        if shim.stored or shim.precision != "fp32":
            raise ValueError(Errors.E908.format(name=name, found=shim.precision))
    for _, component in nlp.components:
        if isinstance(component, TaskPipe) and head_shim_of(component.model).is_built:
            if getattr(head_shim_of(component.model).module, "deferred_layers", 0):
                raise ValueError(Errors.E904)
    return found


def _write_encoder(encoder: EncoderComponent, path: Path, *, precision: str) -> list[str]:
    """Write the states that are read by anybody; returns their names."""
    shim = shim_of(encoder.model)
    states = sorted({State(view.layer, view.branch) for view in views_of(encoder)})
    with shim.predicting() as module:
        padded = PaddedEncoder(module, states).eval()
        config = module.config
        ids = torch.full((2, min(7, config.max_length)), config.n_pieces - 1)
        values = (ids, torch.ones_like(ids), torch.zeros_like(ids))
        names = [state.name for state in states]
        axes = {0: "batch", 1: "length"}
        write_onnx(
            padded,
            dict(zip(padded.inputs, values, strict=False)),
            path,
            outputs=names,
            axes={name: axes for name in padded.inputs},
            largest={"length": config.max_length},
            facts={"window": window_of(encoder.model), "stride": encoder.model.attrs["stride"]},
        )
    if precision == "int8":
        quantise(path)
    return names


@contextmanager
def _runs(model: Model, graph: np.ndarray) -> Iterator[None]:
    """Let an encoder layer run a graph, for a while."""
    before = shim_of(model)
    shim = OnnxShim()
    shim.tokenizer = before.built_tokenizer
    shim.restore({GRAPH: torch.from_numpy(graph)}, **before.cfg["sizes"])
    model.shims[0] = shim
    try:
        yield
    finally:
        model.shims[0] = before


def _write_head(name: str, component: TaskPipe, path: Path, made: Exported) -> None:
    model = component.model
    shim = head_shim_of(model)
    if any(isinstance(s, EncoderShim) for node in model.walk() for s in node.shims):
        made.left[name] = OWN_ENCODER
    if not shim.is_built:
        return
    attrs = model.attrs["features"]
    head, reason = row_head(shim.module, n_features=len(attrs))
    if head is None:
        made.left[name] = reason
        return
    width = model.get_ref("tok2vec").get_dim("nO")
    lengths = torch.tensor([3, 4, 2])
    example: dict[str, Tensor] = {
        ROWS: torch.ones(9, width),
        LENGTHS: lengths,
        FEATURES: torch.ones(9, len(attrs), dtype=torch.int64),
    }
    axes: Mapping[str, Mapping[int, str]] = {
        ROWS: {0: "rows"},
        LENGTHS: {0: "docs"},
        FEATURES: {0: "rows"},
    }
    write_onnx(
        head,
        {key: example[key] for key in head.inputs},
        path,
        outputs=[head.output],
        axes=axes,
        facts={"labels": list(component.labels), "features": list(attrs)},
    )
    with shim.predicting() as module:
        found = head_difference(module, head, path, width=width)
    made.differences[name] = _checked(name, found, exact=True)
    made.heads[name] = head.output


def _checked(name: str, found: float, *, exact: bool) -> float:
    if exact and not found <= TOLERANCE:
        raise ValueError(Errors.E909.format(name=name, found=found, limit=TOLERANCE))
    return found


def _write_config(path: Path, encoders: Mapping[str, EncoderComponent]) -> None:
    """Name the layer that runs the graphs in the config, and what it needs in the meta data."""
    config = Config().from_disk(path / "config.cfg", interpolate=False)
    for name in encoders:
        model = config["components"][name]["model"]
        kept = {key: model[key] for key in ("window", "stride") if key in model}
        config["components"][name]["model"] = {"@architectures": ARCHITECTURE, **kept}
    config.to_disk(path / "config.cfg")
    meta = srsly.read_json(path / "meta.json")
    meta["requirements"] = [*meta.get("requirements", []), REQUIREMENT]
    srsly.write_json(path / "meta.json", meta)
