"""`adopt`: other weights for an encoder, if no score on dev falls."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from ._config import CodeOption, GpuOption, import_code, split_arguments, use_device
from ._run import friendly

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}
OPTIONS = ["--weights", "--candidate", "--output", "--steps", "--metrics", "--gpu-id", "--code"]


@friendly()
def command(
    context: typer.Context,
    config: Annotated[str, typer.Argument(help="A training config that reads paths.weights.")],
    weights: Annotated[Path, typer.Option(help="Folder of the weights there are.")],
    candidate: Annotated[
        Path, typer.Option(help="Folder of others, such as those that `pretrain` has made of them.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to copy the better ones to.")
    ],
    steps: Annotated[int, typer.Option(min=1, help="Updates of each of the two trainings.")] = 60,
    metrics: Annotated[
        Path | None, typer.Option(help="JSON file for the scores; `report --adoption` reads it.")
    ] = None,
    gpu_id: GpuOption = -1,
    code: CodeOption = None,
) -> None:
    """Train briefly from two folders of weights, and copy the one to go on with.

        adopt tasks.cfg --weights weights/minilm-l6 --candidate pretrained/mine/model
            --output weights/adopted --paths.train train.spacy --paths.dev dev.spacy

    The candidate is taken if none of the scores that training.score_weights names is lower on dev.
    Settings of the config are replaced by options of the same dotted name, as for `train`.
    """
    from ..files import require_replaceable, require_writable, whole_folder, write_json
    from ..training.adoption import compare
    from ..training.config_check import read_config

    arguments, overrides = split_arguments([config, *context.args], OPTIONS, most=1)
    if not arguments:
        raise typer.BadParameter("missing, after all the settings", param_hint="CONFIG")
    require_replaceable(output, "config.json")
    require_writable(metrics)
    import_code(code)
    use_device(gpu_id)
    overrides["paths.weights"] = str(weights)
    found = compare(
        read_config(Path(arguments[0]), overrides),
        weights=weights,
        candidate=candidate,
        steps=steps,
        use_gpu=gpu_id,
        say=typer.echo,
    )
    typer.echo(str(found))
    chosen = candidate if found.is_adopted else weights
    with whole_folder(output) as part:
        shutil.copytree(chosen, part, dirs_exist_ok=True)
    if metrics is not None:
        write_json(metrics, found.to_dict())
    typer.echo(f"Copied {chosen} to {output}")
