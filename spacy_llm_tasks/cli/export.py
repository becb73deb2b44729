"""`export`: a pipeline for another runtime."""

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ._config import CodeOption, import_code
from ._run import friendly
from ._table import echo_table


class Format(str, Enum):
    onnx = "onnx"


class Precision(str, Enum):
    fp32 = "fp32"
    int8 = "int8"


@friendly()
def command(
    pipeline: Annotated[str, typer.Argument(help="A trained pipeline: folder or package.")],
    output: Annotated[Path, typer.Argument(help="Folder to write, which is not there yet.")],
    format: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.onnx,
    precision: Annotated[
        Precision,
        typer.Option(help="Of the encoder: fp32 is checked to be equal; int8 is smaller."),
    ] = Precision.fp32,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    code: CodeOption = None,
) -> None:
    """Write a copy of a pipeline whose encoder runs in onnxruntime.

    export training/mine/model-best exported --format onnx

    `spacy.load` loads the copy, and everything works as before but training. It needs onnxruntime
    (extra `onnx`), and has no weights of PyTorch for the encoder. In it lie, for other programs,
    transformer/encoder/model.onnx (padded piece ids and a mask in, a row per piece out), the
    tokenizer.json that makes the ids, and for most heads NAME/head.onnx (rows in, scores out).

    In fp32, graph and pipeline are compared on docs of every odd shape, alone and together, and
    nothing is written if they differ by more than 1e-5. int8 is onnxruntime's dynamic
    quantisation, with one scale for the inputs of a call: rows then depend a little on the other
    docs of a batch, which those of `model.precision = "int8"` in PyTorch do not.

    TorchScript is no format: PyTorch has deprecated it. Neither is torch.export's own, which only
    PyTorch reads: there, the pipeline runs as it is.
    """
    import spacy

    from ..export.pipeline import export_pipeline

    import_code(code)
    nlp = spacy.load(pipeline)
    say = (lambda line: None) if as_json else typer.echo
    made = export_pipeline(nlp, output, precision=precision.value, say=say)
    if as_json:
        typer.echo(json.dumps(made.to_dict(), indent=2, ensure_ascii=False))
        return
    rows = [["component", "graph", "largest difference"]]
    for name, outputs in made.encoders.items():
        rows.append([name, ", ".join(outputs), f"{made.differences[name]:.1e}"])
    for name, result in made.heads.items():
        rows.append([name, result, f"{made.differences[name]:.1e}"])
    rows.extend([name, f"none: {reason}", "-"] for name, reason in made.left.items())
    echo_table(rows, title=f"Exported to {output}")
