"""`calibrate`: temperatures and thresholds of a trained pipeline, fitted on held-out data."""

from pathlib import Path
from typing import Annotated

import typer

from ._config import CodeOption, GpuOption, import_code, use_device
from ._run import friendly


@friendly()
def command(
    pipeline: Annotated[Path, typer.Argument(help="Folder of a trained pipeline.")],
    data: Annotated[
        Path | None,
        typer.Argument(help="A .spacy or .jsonl file that the pipeline was not trained on."),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Without DATA: which reader of the config's [corpora].")
    ] = "dev",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Save the calibrated pipeline here, not in place."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write what changed to this JSON file.")
    ] = None,
    gpu_id: GpuOption = -1,
    code: CodeOption = None,
) -> None:
    """Make the confidences of a pipeline mean what they say.

        calibrate training/mine/model-best held_out.spacy

    Fits temperatures and thresholds on one half of the data and prints scores and expected
    calibration error on the other half, before and after. `train` does this as its last step, on
    the dev data. Predicted labels can change only where a threshold moved.
    """
    import_code(code)
    use_device(gpu_id)
    import spacy

    from ..files import require_replaceable, require_writable, whole_folder, write_json
    from ..training.calibrate import calibrate_pipeline
    from .evaluate import read_examples

    if output is not None:
        require_replaceable(output, "meta.json")
    require_writable(report)
    nlp = spacy.load(pipeline)
    corpora = nlp.config.interpolate().get("corpora", {})
    examples = read_examples(nlp, corpora, split=split, data=data)
    found = calibrate_pipeline(nlp, examples)
    with whole_folder(output or pipeline) as part:
        nlp.to_disk(part)
    typer.echo(str(found))
    if report is not None:
        write_json(report, found.to_dict())
