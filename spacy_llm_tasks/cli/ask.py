"""`ask`: answers to a question, out of one text or many."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._config import GpuOption, use_device
from ._run import friendly
from ._texts import read_texts

if TYPE_CHECKING:
    from spacy.language import Language

    from ..pipeline.asking import Answer


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

    from ..corpora.exact import tokenize
    from ..errors import Errors
    from ..pipeline.asking import QaPipe
    from ..pipeline.owners import component_of

    if (corpus is None) == (not inputs):
        raise ValueError(Errors.E526)
    use_device(gpu_id)
    nlp = spacy.load(pipeline)
    pipe = component_of(nlp, QaPipe, "trf_qa")
    if corpus is None:
        texts = [(facts["id"], 0, text) for text, facts in read_texts(inputs or [])]
    else:
        texts = _retrieved(nlp, corpus, question, retrieve)
    # Only the texts are read: the pipeline's own pass would be for nothing.
    docs: list[Doc] = [tokenize(nlp, text) for _, _, text in texts]
    answers: list[Answer] = pipe.answer(docs, [question] * len(docs))
    found = [
        (name, _moved(answer, start))
        for (name, start, _), answer in zip(texts, answers, strict=True)
        if answer.text
    ]
    found.sort(key=lambda pair: -pair[1].score)
    if not found:
        typer.echo("None of the texts answers the question.")
    for name, answer in found[:top]:
        if json_lines:
            typer.echo(json.dumps({"id": name, **answer._asdict()}, ensure_ascii=False))
        else:
            place = f"{name}:{answer.start_char}-{answer.end_char}"
            typer.echo(f"{answer.score:.3f}  {answer.text}  ({place})")


def _retrieved(nlp: "Language", corpus: Path, question: str, k: int) -> list[tuple[str, int, str]]:
    """The nearest texts of an index: their documents, their places in these, and they."""
    from ..errors import Errors
    from ..indexing import open_index, similarity_of

    with open_index(nlp, corpus) as index:
        if index.manifest.unit == "ent":
            raise ValueError(Errors.E622.format(path=corpus))
        vectors = similarity_of(nlp).embed([question])
        hits = index.search(vectors, k=k, texts=[question])[0]
    return [
        (one.doc_id, one.start_char, one.text) if one.doc_id else (one.id, 0, one.text)
        for one in (hit.entry for hit in hits)
    ]


def _moved(answer: "Answer", start: int) -> "Answer":
    """An answer in a part of a document as one in the document."""
    return answer._replace(start_char=start + answer.start_char, end_char=start + answer.end_char)
