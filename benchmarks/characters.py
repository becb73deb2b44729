"""Write a tokenizer of the characters of some texts, for encoders that begin from random weights.

    python benchmarks/characters.py corpus/resume/train.spacy --output corpus/resume/characters

The folder is what `[initialize.components.transformer] tokenizer` reads: a `vocab.txt` of BERT's
layout with one piece for each character. Texts are cleaned and cut as BERT does it: lower case,
no accents, Chinese characters and signs each by itself. What stands together otherwise, such as
the digits of a year, is cut into its characters, the later ones marked with ##.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def main(
    files: Annotated[
        list[Path],
        typer.Argument(help=".spacy (texts and questions), .jsonl, or any other text file."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the tokenizer.")],
    least: Annotated[
        int,
        typer.Option(min=1, help="How often a character must occur. Rarer ones train [UNK]."),
    ] = 2,
) -> None:
    pieces = character_pieces(read(files), least=least)
    output.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{piece}\n" for piece in pieces)
    (output / "vocab.txt").write_text(text, encoding="utf-8", newline="\n")
    typer.echo(f"Wrote {len(pieces):,} pieces to {output}")


def read(files: Iterable[Path]) -> Iterator[str]:
    """YIELDS (str): The texts of files, and the questions about them."""
    from spacy.vocab import Vocab

    from spacy_llm_tasks.annotations import get_questions
    from spacy_llm_tasks.cli._texts import read_texts
    from spacy_llm_tasks.corpora.files import read_docs

    for path in files:
        if path.suffix != ".spacy":
            for text, facts in read_texts([path]):
                yield text
                yield from (row["question"] for row in facts.get("questions", ()))
            continue
        for doc in read_docs(path, Vocab()):
            yield doc.text
            yield from (row.question for row in get_questions(doc))


def character_pieces(texts: Iterable[str], *, least: int = 1) -> list[str]:
    """List the pieces of a vocabulary of characters.

    texts (Iterable[str]): The texts.
    least (int): How often a piece must occur.
    RETURNS (list[str]): The special pieces, then the others, the most frequent first.
    """
    from tokenizers import normalizers, pre_tokenizers

    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)):
            counts[word[0]] += 1
            counts.update(f"##{char}" for char in word[1:])
    # Equally frequent ones by themselves, so that equal texts give equal ids.
    frequent = sorted((-n, piece) for piece, n in counts.items() if n >= least)
    return [*SPECIAL, *(piece for _, piece in frequent)]


if __name__ == "__main__":
    typer.run(main)
