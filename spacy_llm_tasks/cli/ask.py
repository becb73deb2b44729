"""`ask`: answers to a question, out of one text or many."""

from pathlib import Path
from typing import Annotated

import typer

from ._config import GpuOption, use_device
from ._run import friendly
from ._texts import read_texts


@friendly()
def command(
    pipeline: Annotated[Path, typer.Argument(help="Trained pipeline with trf_qa.")],
    question: Annotated[str, typer.Argument(help="The question.")],
    inputs: Annotated[
        list[Path] | None, typer.Argument(help=".jsonl, .spacy or .txt files to ask.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Ask the texts of an index that `search add` has made.")
    ] = None,
    retrieve: Annotated[
        int, typer.Option(min=1, help="With --corpus: ask so many texts, the nearest ones.")
    ] = 10,
    top: Annotated[int, typer.Option(min=1, help="How many answers to show.")] = 5,
    json_lines: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
    gpu_id: GpuOption = -1,
) -> None:
    """Ask every text and show the best answers, each with its place.

        ask training/mine/model-best "Who founded Tidewell?" report.txt

        ask training/mine/model-best "Who founded Tidewell?" --corpus my.index --retrieve 20

    Every text that is asked costs a pass of the encoder; with --corpus the index chooses them
    first, by meaning and by words.
    """
    import json

    import spacy
    from spacy.tokens import Doc

    from ..errors import Errors
    from ..pipeline.asking import QaPipe
    from ..pipeline.owners import component_of

    if (corpus is None) == (not inputs):
        raise ValueError(Errors.E526)
    use_device(gpu_id)
    nlp = spacy.load(pipeline)
    pipe = component_of(nlp, QaPipe, "trf_qa")
    if corpus is None:
        texts = [(str(facts["id"]), text) for text, facts in read_texts(inputs or [])]
    else:
        texts = _retrieved(nlp, corpus, question, retrieve)
    # Only the texts are read: the pipeline's own pass would be for nothing.
    docs: list[Doc] = [nlp.make_doc(text) for _, text in texts]
    answers = pipe.answer(docs, [question] * len(docs))
    named = [(name, answer) for (name, _), answer in zip(texts, answers, strict=True)]
    found = [pair for pair in named if pair[1].text]  # type: ignore[union-attr]
    found.sort(key=lambda pair: -pair[1].score)  # type: ignore[union-attr]
    if not found:
        typer.echo("None of the texts answers the question.")
    for name, answer in found[:top]:
        if json_lines:
            typer.echo(json.dumps({"id": name, **answer._asdict()}, ensure_ascii=False))  # type: ignore[union-attr]
        else:
            place = f"{name}:{answer.start_char}-{answer.end_char}"  # type: ignore[union-attr]
            typer.echo(f"{answer.score:.3f}  {answer.text}  ({place})")  # type: ignore[union-attr]


def _retrieved(nlp, corpus: Path, question: str, k: int) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
    from ..indexing import open_index, similarity_of

    with open_index(nlp, corpus) as index:
        vectors = similarity_of(nlp).embed([question])
        hits = index.search(vectors, k=k, texts=[question])[0]
    return [(hit.entry.id, hit.entry.text) for hit in hits]
