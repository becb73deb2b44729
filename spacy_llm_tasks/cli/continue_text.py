"""`continue`: what a decoder writes after a text, or an encoder-decoder in its place."""

from pathlib import Path
from typing import Annotated

import typer

from ._run import friendly


@friendly()
def command(
    folder: Annotated[
        Path,
        typer.Argument(help="A decoder or encoder-decoder (config.json, model.safetensors)."),
    ],
    text: Annotated[str, typer.Argument(help="The text to go on with, or to fill.")],
    max_new: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Write at most so many pieces. Default: 50, or what the model has room for.",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="0: the likeliest piece each time. Higher: drawn, with more surprises. Default: "
            "0, or 1 with --top-k, --top-p or --seed.",
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Draw from the k likeliest pieces.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Draw from the likeliest pieces that together have this probability."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another one, another text.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Have a model write.

        continue pretrained/mine/model "Once upon" --temperature 0.8 --seed 1

    A decoder goes on with the text. An encoder-decoder writes it anew, and fills its gaps, which
    are written [MASK], or as the vocabulary writes them; a gap may be any number of words:

        continue pretrained/ours/model "Once upon [MASK] a king."
    """
    import json

    from ..pretraining.looking.writing import Writer

    if temperature is None:
        is_drawn = (top_k, top_p, seed) != (None, None, None)
        temperature = 1.0 if is_drawn else 0.0
    writer = Writer(folder)
    written = writer.write(
        text,
        max_new=max_new,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed or 0,
    )
    if as_json:
        found = {"prompt": text, "kind": writer.kind, **written._asdict()}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    typer.echo(text + written.text if writer.kind == "decoder" else written.text)
