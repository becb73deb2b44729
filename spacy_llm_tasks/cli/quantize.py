"""`quantize`: a trained pipeline with its weights in fewer bits, in files and in memory."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import Errors
from ._config import CodeOption, import_code
from ._run import friendly
from ._table import echo_facts
from ._units import size
from .precision import echo_report, reader


class Precision(str, Enum):
    """Of linear layers."""

    int8 = "int8"
    bf16 = "bf16"


class Table(str, Enum):
    """Of the table of pieces."""

    int8 = "int8"
    bf16 = "bf16"
    fp32 = "fp32"


@friendly()
def command(
    pipeline: Annotated[str, typer.Argument(help="Folder or name of a trained pipeline.")],
    output: Annotated[Path, typer.Argument(help="Folder to save the smaller pipeline to.")],
    precision: Annotated[
        Precision, typer.Option(help="How linear layers keep their weights and compute.")
    ] = Precision.int8,
    embeddings: Annotated[
        Table | None,
        typer.Option(
            help="How the table of pieces is kept. Default: as the linear layers; with --dev, in "
            "as few bits as the scores allow."
        ),
    ] = None,
    dev: Annotated[
        Path | None,
        typer.Option(help="A .spacy or .jsonl file with gold annotation, to check the scores on."),
    ] = None,
    at_most: Annotated[
        float, typer.Option(min=0.0, help="With --dev: points that a score may lose.")
    ] = 0.5,
    code: CodeOption = None,
) -> None:
    """Save a pipeline with smaller encoder weights: a quarter of the bytes in int8, half in bf16.

        quantize training/mine/model-best small
        quantize training/mine/model-best small --dev held_out.spacy

    Linear layers predict exactly as with the same precision chosen at load time. The table of
    pieces, which has no precision at load time, is rounded too (int8: by row, within a 254th of the
    row's largest number). Norms, biases, tables of positions and the heads of tasks stay in
    float32. The result needs no other files, and cannot be trained.

    With --dev, nothing is written if a score loses more than --at-most.
    """
    import_code(code)
    from ..files import require_replaceable, whole_folder
    from ..pipeline.precisions import encoders, load_with
    from ..training.precision_scores import Setting, compare

    if output.resolve() == Path(pipeline).resolve():
        raise ValueError(Errors.E539.format(path=pipeline))
    require_replaceable(output, "meta.json")
    settings = [Setting(precision.value, table) for table in _tables(precision, embeddings, dev)]
    setting = settings[0]
    if dev is not None:
        report = compare(pipeline, reader("dev", dev), settings, until=at_most)
        echo_report(report)
        setting, last = settings[len(report.rows) - 2], report.rows[-1]
        if last.lost > at_most:
            metric = min(last.change, key=lambda name: last.change[name] or 0.0)
            found, most = last.setting, at_most
            raise ValueError(
                Errors.E445.format(found=found, metric=metric, lost=last.lost, most=most)
            )
    before = sum(shim.n_bytes for shim in encoders(load_with(pipeline, "fp32")))
    nlp = setting.load(pipeline)
    after = sum(shim.n_bytes for shim in encoders(nlp))
    with whole_folder(output) as part:
        nlp.to_disk(part)
    echo_facts(
        {
            "linear layers": setting.precision,
            "table of pieces": setting.embeddings,
            "all else": "fp32, as before",
            "encoder": f"{size(before)} -> {size(after)}",
        },
        title=f"Saved to {output}",
    )


def _tables(precision: Precision, chosen: Table | None, dev: Path | None) -> list[str]:
    """Precisions of the table of pieces to try, the smallest first."""
    if chosen is not None:
        return [chosen.value]
    sizes = [table.value for table in Table]
    smallest = sizes.index(precision.value)
    return [sizes[smallest]] if dev is None else sizes[smallest:]
