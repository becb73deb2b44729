"""`fill-mask`: what an encoder expects behind masks."""

from pathlib import Path
from typing import Annotated

import typer

from ._run import friendly


@friendly()
def command(
    folder: Annotated[
        Path, typer.Argument(help="An encoder with its head (config.json, model.safetensors).")
    ],
    text: Annotated[str, typer.Argument(help="A text with one mask or several.")],
    top: Annotated[int, typer.Option(min=1, help="Pieces to show for each mask.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fill the gaps of a text with the pieces that an encoder finds likeliest.

        fill-mask pretrained/mine/model "The capital of France is [MASK]."

    A gap is written [MASK], or as the vocabulary writes it (<mask>). It stands for one piece, and
    several are filled each on its own.
    """
    import json

    from ..pretraining.looking.masks import MaskFiller
    from ._table import echo_table

    masks = MaskFiller(folder).fill(text, top=top)
    if as_json:
        found = {"text": text, "masks": [[f._asdict() for f in mask] for mask in masks]}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    typer.echo(masks[0][0].text)
    for number, mask in enumerate(masks, start=1):
        rows = [["piece", "probability"]]
        rows += [[filler.name, f"{filler.probability:.4f}"] for filler in mask]
        echo_table(rows, title=f"Mask {number}" if len(masks) > 1 else "Mask")
