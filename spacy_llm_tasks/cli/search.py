"""`search`: an index over a pipeline's documents, sentences or entities."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._config import GpuOption, use_device
from ._run import friendly
from ._texts import read_texts

if TYPE_CHECKING:
    from spacy.language import Language

    from ..search import SearchIndex

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
    unit: Annotated[
        Unit | None, typer.Option(help="What an entry of a new index is: doc if not given.")
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(help="What a new index searches candidates in: float32 if not given."),
    ] = None,
    graph: Annotated[
        bool | None,
        typer.Option(
            help="Build a graph for approximate search over all entries (needs the search extra), "
            "or remove it. If not given, a graph that is there stays as it is."
        ),
    ] = None,
    gpu_id: GpuOption = -1,
) -> None:
    """Add documents to an index, made if it is not there. A document of the same id is replaced.

        search add training/mine/model-best my.index texts.jsonl --unit sent

    A line of JSONL has a "text", may have an "id", and whatever else it has is kept with the entry
    for filters. A .txt file is one document. What has no id is named after its file's path, as it
    is given here, and its line.
    """
    use_device(gpu_id)
    import spacy

    from ..corpora.exact import tokenize
    from ..errors import Errors
    from ..indexing import add_docs
    from ..search import measure_recall

    nlp = spacy.load(pipeline)
    with _open_or_make(nlp, index, unit=unit, precision=precision) as found:
        if found.manifest.unit == "sent" and not _has_sentences(nlp):
            nlp.add_pipe("sentencizer", first=True)
        docs = ((tokenize(nlp, text), facts) for text, facts in read_texts(inputs))
        added = add_docs(nlp, nlp.pipe(docs, as_tuples=True), found)
        if not len(found):
            raise ValueError(Errors.E620.format(path=index, unit=found.manifest.unit))
        typer.echo(f"Wrote {added.entries:,} entries; the index {index} has {len(found):,}")
        if added.repeated:
            typer.echo(f"Documents that replaced an earlier one of the same id: {added.repeated:,}")
        _keep_graph(found, graph)
        if len(found) > 1 and (found.uses_graph or found.manifest.precision != "float32"):
            recall = measure_recall(found)
            typer.echo(
                f"Recall@{recall.k} against exact search: {recall.recall:.3f} "
                f"({recall.queries} queries)"
            )


@app.command("remove")
@friendly()
def remove(
    index: Index,
    ids: Annotated[list[str], typer.Argument(help="Ids of documents, or of single entries.")],
) -> None:
    """Remove documents from an index, each with all its entries.

    search remove my.index report-7 texts.jsonl:12
    """
    from ..errors import Errors
    from ..search import SearchIndex

    with SearchIndex.open(index) as found:
        n_removed = 0
        with found.update():
            for name in dict.fromkeys(ids):
                n = found.delete([name], doc_ids=[name])
                if not n:
                    raise ValueError(Errors.E623.format(path=index, id=name))
                n_removed += n
        _keep_graph(found, None)
        typer.echo(f"Removed {n_removed:,} entries; the index {index} has {len(found):,}")


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
    cats = {name: least or 0.5 for name, _, least in (one.partition("=") for one in cat)}
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


@contextmanager
def _open_or_make(
    nlp: "Language", path: Path, *, unit: Unit | None, precision: Precision | None
) -> Iterator["SearchIndex"]:
    """The index at a path, with what was asked for, or a new one, which goes if it stays empty."""
    from ..errors import Errors
    from ..indexing import new_index, open_index

    is_new = not path.exists() or not any(path.iterdir())
    if is_new:
        unit, precision = unit or Unit.doc, precision or Precision.float32
        index = new_index(nlp, path, unit=unit.value, precision=precision.value)
    else:
        index = open_index(nlp, path)
    is_useless = False
    try:
        with index:
            for what, wanted in (("unit", unit), ("precision", precision)):
                known = getattr(index.manifest, what)
                if wanted is not None and wanted.value != known:
                    raise ValueError(
                        Errors.E621.format(path=path, what=what, found=known, wanted=wanted.value)
                    )
            try:
                yield index
            finally:
                is_useless = is_new and not len(index)
    finally:
        if is_useless:
            shutil.rmtree(path)


def _keep_graph(index: "SearchIndex", wanted: bool | None) -> None:
    """Build the graph, remove it, or leave it as it is, and say where it does not help."""
    if wanted is None and index.uses_graph:
        covered = int((index.rows() < index.manifest.graph_rows).sum())
        if covered < len(index):
            typer.echo(
                f"The graph covers {covered:,} of {len(index):,} entries, the others are searched "
                "one by one; --graph builds it over all"
            )
        return
    index.optimize(graph=None if wanted else False)
    if wanted and not index.manifest.graph:
        typer.echo("No graph was built: so few entries are searched faster without one")


def _has_sentences(nlp: "Language") -> bool:
    return any("token.is_sent_start" in nlp.get_pipe_meta(name).assigns for name in nlp.pipe_names)
