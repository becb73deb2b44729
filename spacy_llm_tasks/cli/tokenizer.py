"""`tokenizer`: a vocabulary of one's own from raw text, and how finely it cuts."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Errors
from ._run import friendly

if TYPE_CHECKING:
    from ..pretraining.texts.corpus_report import CorpusReport
    from ..tokenization import Fertility, PieceTokenizer

app = typer.Typer(
    name="tokenizer",
    help="Train a tokenizer on raw text, or look at how one cuts.",
    no_args_is_help=True,
)
Texts = Callable[[], Iterator[str]]

TextColumn = Annotated[
    str, typer.Option(help="Key or column of the text in JSON lines and Parquet.")
]
TxtDocuments = Annotated[
    str, typer.Option(help="What a document is in a .txt file: file, line or paragraph.")
]
Invalid = Annotated[
    str,
    typer.Option(
        help="Text that is no UTF-8, and damaged compressed files: strict is an error; replace "
        "puts U+FFFD and skip leaves the document out, and both count it."
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(help="Folder of another tokenizer, to be measured on the same texts beside it."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the measures as one JSON object.")]


@app.command("train")
@friendly
def train(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files (.txt, .jsonl, also with .gz or .zst behind, .parquet, .spacy), folders, "
            "patterns in quotes, or pydoc: for the documentation inside Python."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write; made if it is not there.")
    ],
    kind: Annotated[
        str,
        typer.Option(
            help="wordpiece (as BERT), bpe (on bytes, as RoBERTa and GPT-2: no text is unknown) or "
            "unigram (as SentencePiece's)."
        ),
    ] = "wordpiece",
    size: Annotated[
        int, typer.Option(help="Pieces of the vocabulary, special ones included.")
    ] = 16_000,
    lowercase: Annotated[
        bool | None,
        typer.Option(help="Drop case. By default for wordpiece only, as BERT's uncased models."),
    ] = None,
    strip_accents: Annotated[
        bool | None, typer.Option(help="Drop accents. By default where wordpiece drops case.")
    ] = None,
    normalization: Annotated[
        str | None,
        typer.Option(help="Unicode: nfc, nfkc or none. By default nfkc for unigram, else nfc."),
    ] = None,
    min_frequency: Annotated[
        int, typer.Option(help="Do not learn what occurs less often than this.")
    ] = 2,
    special: Annotated[
        list[str] | None,
        typer.Option(help="Name of one more special piece, as '<EMAIL>'; can be repeated."),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Longest input of the model to be, noted in the files.")
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="Share of the texts to measure on.")
    ] = 0.02,
    reference: Reference = None,
    text_column: TextColumn = "text",
    txt_documents: TxtDocuments = "file",
    invalid: Invalid = "strict",
    json_report: AsJson = False,
) -> None:
    """Train a tokenizer on raw text, and measure it on texts that it has not seen.

    Examples:

        spacy-llm-tasks tokenizer train texts/ --output tokenizers/mine --size 16000

        spacy-llm-tasks tokenizer train 'wiki/*.jsonl.gz' --output tokenizers/mine --kind unigram
        --size 32000 --reference weights/minilm-l6

        spacy-llm-tasks tokenizer train pydoc: --output tokenizers/try --kind bpe --size 8000

    The folder can be named in a pretraining config, and other libraries load it too. The same
    inputs give the same files. In the table that follows, fewer pieces per word make shorter
    inputs and a faster model; a larger vocabulary has fewer, and costs a larger table of weights.
    """
    from ..pretraining.texts.corpus import is_held_out
    from ..tokenization import PieceTokenizer, train_tokenizer

    _check_free(output)
    other = PieceTokenizer.from_folder(reference) if reference is not None else None
    texts, report = _reader(inputs, text_column, txt_documents, invalid)
    tokenizer = train_tokenizer(
        (text for text in texts() if not is_held_out(text, share=held_out, seed=0)),
        kind=kind,
        size=size,
        lowercase=lowercase,
        strip_accents=strip_accents,
        normalization=normalization,
        min_frequency=min_frequency,
        extra_special=special or (),
        max_length=max_length,
    )
    _show_losses(report)
    tokenizer.to_folder(output)
    typer.echo(f"Wrote {output}", err=json_report)

    def unseen() -> Iterator[str]:
        return (text for text in texts() if is_held_out(text, share=held_out, seed=0))

    measured = unseen
    if next(unseen(), None) is None:
        typer.echo("No text was held out: measured on those it was trained on.", err=True)
        measured = texts
    compared = {output: tokenizer}
    if reference is not None and other is not None:
        compared[reference] = other
    _compare(compared, measured, json_report)


@app.command("info")
@friendly
def info(
    folder: Annotated[Path, typer.Argument(help="Folder of a tokenizer.")],
    inputs: Annotated[
        list[str] | None, typer.Argument(help="Texts to measure it on, as for `tokenizer train`.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Show how this text is cut.")] = None,
    reference: Reference = None,
    text_column: TextColumn = "text",
    txt_documents: TxtDocuments = "file",
    invalid: Invalid = "strict",
    json_report: AsJson = False,
) -> None:
    """Show what a tokenizer is, how it cuts a text, and how finely it cuts files.

    Examples:

        spacy-llm-tasks tokenizer info tokenizers/mine --text "Unbelievably fast."

        spacy-llm-tasks tokenizer info tokenizers/mine texts/ --reference weights/minilm-l6
    """
    from ..tokenization import PieceTokenizer

    tokenizer = PieceTokenizer.from_folder(folder)
    other = PieceTokenizer.from_folder(reference) if reference is not None else None
    if not json_report:
        _show(folder, tokenizer)
        if text is not None:
            _show_cuts(tokenizer, text)
    if inputs:
        texts, report = _reader(inputs, text_column, txt_documents, invalid)
        compared = {folder: tokenizer}
        if reference is not None and other is not None:
            compared[reference] = other
        _compare(compared, texts, json_report)
        _show_losses(report)


def _check_free(folder: Path) -> None:
    """A new tokenizer replaces an earlier one, but never that of a checkpoint."""
    from ..files import PART
    from ..tokenization.tokenizer import FILES

    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(Errors.E226.format(path=folder))
    # What a kill has left of an earlier one is written over.
    known = {*FILES, *(f"{PART}{name}" for name in FILES)}
    others = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if others:
        raise ValueError(Errors.E227.format(folder=folder, found=", ".join(others[:3])))


def _reader(
    inputs: list[str], text_column: str, txt_documents: str, invalid: str
) -> tuple[Texts, "CorpusReport"]:
    """A function that reads the texts from the start, and the counts of its first reading."""
    from ..corpora.spacy_texts import spacy_texts
    from ..pretraining.texts.corpus_report import CorpusReport
    from ..pretraining.texts.sources import read_texts

    report = CorpusReport()
    reports = iter([report])

    def texts() -> Iterator[str]:
        return read_texts(
            inputs,
            text_column=text_column,
            txt_documents=txt_documents,
            invalid=invalid,
            readers={".spacy": spacy_texts},
            report=next(reports, None),
        )

    return texts, report


def _compare(tokenizers: "dict[Path, PieceTokenizer]", texts: Texts, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from ..tokenization import measure
    from ._table import echo_table

    found = {path: measure(tokenizer, texts()) for path, tokenizer in tokenizers.items()}
    if as_json:
        results = [
            {
                "folder": str(path),
                "kind": tokenizers[path].kind,
                "size": tokenizers[path].n_pieces,
                **asdict(measures),
                "pieces_per_word": measures.pieces_per_word,
                "characters_per_piece": measures.characters_per_piece,
                "split_rate": measures.split_rate,
                "unknown_rate": measures.unknown_rate,
            }
            for path, measures in found.items()
        ]
        typer.echo(json.dumps({"results": results}, indent=2, ensure_ascii=False))
        return
    first = next(iter(found.values()))
    columns = [_column(path, tokenizers[path], measures) for path, measures in found.items()]
    names = ["", "kind", "size", "pieces per word", "characters per piece"]
    names += ["words of several pieces", "unknown pieces"]
    echo_table(
        list(zip(names, *columns, strict=True)),
        title=f"On {first.n_texts:,} texts of {first.n_words:,} words",
    )


def _column(path: Path, tokenizer: "PieceTokenizer", measures: "Fertility") -> list[str]:
    return [
        str(path),
        tokenizer.kind,
        f"{tokenizer.n_pieces:,}",
        f"{measures.pieces_per_word:.3f}",
        f"{measures.characters_per_piece:.3f}",
        f"{measures.split_rate:.2%}",
        f"{measures.unknown_rate:.3%}",
    ]


def _show(folder: Path, tokenizer: "PieceTokenizer") -> None:
    from dataclasses import asdict

    from ._table import echo_facts

    special = {role: i for role, i in asdict(tokenizer.special).items() if i is not None}
    names = tokenizer.spell(special.values())
    facts = {"kind": tokenizer.kind, "pieces": f"{tokenizer.n_pieces:,}"}
    for (role, i), name in zip(special.items(), names, strict=True):
        facts[role] = f"{name} ({i})"
    if tokenizer.others:
        facts["more special pieces"] = " ".join(tokenizer.spell(tokenizer.others))
    echo_facts(facts, title=f"Tokenizer {folder}")


def _show_cuts(tokenizer: "PieceTokenizer", text: str) -> None:
    from ._table import echo_table

    pieces = tokenizer.encode([text])
    rows = [["piece", "id", "characters", "text"]]
    for name, i, start, end in zip(
        tokenizer.spell(pieces.ids),
        pieces.ids.tolist(),
        pieces.starts.tolist(),
        pieces.ends.tolist(),
        strict=True,
    ):
        rows.append([name, str(i), f"{start}:{end}", repr(text[start:end])])
    echo_table(rows, title=f"{len(pieces)} pieces")


def _show_losses(report: "CorpusReport") -> None:
    """Say what could not be read; nothing is left out in silence."""
    for what, counts in (
        ("unusable", report.unusable),
        ("repaired", report.repaired),
        ("files passed by", report.skipped),
    ):
        for name, n in counts.most_common():
            typer.echo(f"{what}: {n:,} x {name}", err=True)
            for place in report.places.get(name, [])[:3]:
                typer.echo(f"    {place}", err=True)
