"""`search`: an index over a pipeline's documents, sentences or entities."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ._config import GpuOption, use_device
from ._run import friendly
from ._texts import read_texts

app = typer.Typer(
    name="search",
    help="Find texts by meaning, by words or by both, in an index that a pipeline has made.",
    no_args_is_help=True,
)


class Unit(str, Enum):
    """What can be found."""

    doc = "doc"
    sent = "sent"
    ent = "ent"


class Precision(str, Enum):
    """What candidates are searched in."""

    float32 = "float32"
    int8 = "int8"
    binary = "binary"


Pipeline = Annotated[Path, typer.Argument(help="Trained pipeline with trf_similarity.")]
Index = Annotated[Path, typer.Argument(help="Folder of the index.")]


@app.command("add")
@friendly()
def add(
    pipeline: Pipeline,
    index: Index,
    inputs: Annotated[list[Path], typer.Argument(help=".jsonl, .spacy or .txt files.")],
    unit: Annotated[Unit, typer.Option(help="What an entry is; of a new index.")] = Unit.doc,
    precision: Annotated[
        Precision,
        typer.Option(help="What candidates are searched in; of a new index."),
    ] = Precision.float32,
    graph: Annotated[
        bool, typer.Option(help="Build a graph for approximate search (needs the search extra).")
    ] = False,
    gpu_id: GpuOption = -1,
) -> None:
    """Add documents to an index, made if it is not there. A document of the same id is replaced.

        search add training/mine/model-best my.index texts.jsonl --unit sent

    A line of JSONL has a "text", may have an "id", and whatever else it has is kept with the entry
    for filters. A .txt file is one document, named after the file.
    """
    use_device(gpu_id)
    import spacy

    from ..indexing import add_docs, new_index, open_index
    from ..search import measure_recall

    nlp = spacy.load(pipeline)
    made = not index.exists() or not any(index.iterdir())
    found = (
        new_index(nlp, index, unit=unit.value, precision=precision.value)
        if made
        else open_index(nlp, index)
    )
    if found.manifest.unit == "sent" and not _has_sentences(nlp):
        nlp.add_pipe("sentencizer", first=True)
    with found:
        written = add_docs(nlp, nlp.pipe(read_texts(inputs), as_tuples=True), found)
        found.optimize(graph=graph)
        typer.echo(f"Wrote {written:,} entries; the index {index} has {len(found):,}")
        if len(found) > 1 and (graph or found.manifest.precision != "float32"):
            recall = measure_recall(found)
            typer.echo(
                f"Recall@{recall.k} against exact search: {recall.recall:.3f} "
                f"({recall.queries} queries)"
            )


@app.command("query")
@friendly()
def query(
    pipeline: Pipeline,
    index: Index,
    text: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many entries.")] = 10,
    hybrid: Annotated[
        bool, typer.Option(help="Join with a search by the words of the text (BM25).")
    ] = False,
    label: Annotated[
        list[str], typer.Option(help="Only entries with an entity of this label, or LABEL=TEXT.")
    ] = [],  # noqa: B006  (typer's form for options given several times)
    cat: Annotated[
        list[str], typer.Option(help="Only with this category, CATEGORY or CATEGORY=0.8.")
    ] = [],  # noqa: B006
    exact: Annotated[bool, typer.Option(help="Compare all vectors in full precision.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """Find the entries nearest to a text.

    search query training/mine/model-best my.index "who pays for the bridge" --label ORG
    """
    import json

    import spacy

    from ..indexing import open_index, similarity_of
    from ..search import Filters

    nlp = spacy.load(pipeline)
    ents = [tuple(one.split("=", 1)) if "=" in one else one for one in label]
    cats = {name: float(least or 0.5) for name, _, least in (one.partition("=") for one in cat)}
    with open_index(nlp, index) as found:
        hits = found.search(
            similarity_of(nlp).embed([text]),
            k=k,
            texts=[text] if hybrid else None,
            filters=Filters(ents=ents, cats=cats) if ents or cats else None,  # type: ignore[arg-type]
            exact=exact,
        )[0]
    for hit in hits:
        if json_lines:
            row = {"id": hit.entry.id, "score": hit.score, "cosine": hit.cosine}
            typer.echo(json.dumps({**row, "text": hit.entry.text}, ensure_ascii=False))
        else:
            shown = " ".join(hit.entry.text.split())
            typer.echo(f"{hit.score:.3f}  {hit.entry.id}  {shown[:120]}")


@app.command("mine")
@friendly()
def mine(
    index: Index,
    threshold: Annotated[float, typer.Option(help="The least cosine of a pair.")] = 0.85,
    most: Annotated[int, typer.Option(min=1, help="How many pairs at most.")] = 100,
    groups: Annotated[
        bool, typer.Option(help="Show groups of near-copies instead of pairs.")
    ] = False,
) -> None:
    """List the entries that say nearly the same.

    search mine my.index --threshold 0.95 --groups
    """
    from ..search import SearchIndex, near_duplicates, paraphrases

    with SearchIndex.open(index) as found:
        entries = list(found.entries())
        vectors = found.vectors_at(found.rows())
        if groups:
            for group in near_duplicates(vectors, threshold=threshold):
                typer.echo("  ".join(entries[i].id for i in group))
            return
        for pair in paraphrases(vectors, threshold=threshold, most=most):
            a, b = entries[pair.first], entries[pair.second]
            typer.echo(f"{pair.score:.3f}  {a.id}  {b.id}")


def _has_sentences(nlp) -> bool:  # type: ignore[no-untyped-def]
    return any("token.is_sent_start" in nlp.get_pipe_meta(name).assigns for name in nlp.pipe_names)
