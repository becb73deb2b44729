"""`neighbors`: which pieces a model holds alike."""

from pathlib import Path
from typing import Annotated

import typer

from ._run import friendly


@friendly()
def command(
    folder: Annotated[
        Path, typer.Argument(help="A model of any kind (config.json, model.safetensors).")
    ],
    words: Annotated[list[str], typer.Argument(help="Words to look around.")],
    top: Annotated[int, typer.Option(min=1, help="Pieces to show for each word.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the pieces whose vectors in the embedding table are nearest to a word's, by cosine.

        neighbors pretrained/mine/model king river

    A word of several pieces is the mean of their vectors.
    """
    import json

    from ..pretraining.looking.neighbors import find_neighbors
    from ._table import echo_table

    found = find_neighbors(folder, words, top=top)
    if as_json:
        results = [
            {
                "word": near.word,
                "pieces": near.pieces,
                "neighbors": [neighbor._asdict() for neighbor in near.neighbors],
            }
            for near in found
        ]
        typer.echo(json.dumps({"results": results}, indent=2, ensure_ascii=False))
        return
    for near in found:
        is_mean = len(near.pieces) > 1
        note = f" (the mean of its pieces {' '.join(near.pieces)})" if is_mean else ""
        rows = [["piece", "cosine"]]
        rows += [[neighbor.name, f"{neighbor.similarity:.4f}"] for neighbor in near.neighbors]
        echo_table(rows, title=f"Near {near.word!r}{note}")
