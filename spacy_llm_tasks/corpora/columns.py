"""Token-tagged column files (CoNLL and its many cousins) to Docs with exactly those tokens."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..errors import Errors
from . import tags as tagging
from .files import numbered_lines, read_text
from .report import Report

DOCSTART = "-DOCSTART-"
SPACES = ("single", "none")
SEPARATORS = ("auto", "tab", "space")


@dataclass
class TaggedSentence:
    """Tokens and tags of one sentence with the line each stands on."""

    tokens: list[str] = field(default_factory=list)
    tags: list[str | None] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    starts_document: bool = False


def read_columns(
    path: Path,
    vocab: Vocab,
    report: Report,
    *,
    scheme: str = "auto",
    separator: str = "auto",
    token_column: int = 0,
    tag_column: int = -1,
    spaces: str = "single",
    group: int = 1,
    encoding: str = "utf-8",
    comment: str = "",
) -> Iterator[Doc]:
    """Read a file of one token and its tag a line, with a blank line after each sentence.

    path (Path): The file.
    vocab (Vocab): The vocabulary of the Docs.
    report (Report): Takes the counts of repairs and of what was unusable.
    scheme (str): "auto" or one of tags.SCHEMES.
    separator (str): "auto", "tab" or "space" (any run of spaces and tabs).
    token_column, tag_column (int): Counted from 0, from the end when negative.
    spaces (str): "single" puts a space after each token; "none" none (Chinese character files).
        The file does not tell the real spaces, so with "single" `doc.has_unknown_spaces` is set
        and spaCy's own reader keeps the tokens as well.
    group (int): Sentences per Doc; 0 for whole documents, as separated by -DOCSTART- lines (which
        end a Doc for any value).
    encoding (str): Encoding of the file.
    comment (str): Lines that start with this are skipped; empty for none.
    YIELDS (Doc): `doc.ents` set, with every other token marked outside, or missing where the file
        has no legal tag for it.
    RAISES (ValueError): If the file is missing, empty or undecodable, holds no tokens, or an option
        is out of range.
    """
    _check(scheme=scheme, separator=separator, spaces=spaces, group=group)
    text = read_text(path, encoding=encoding)
    rows = _split_rows(text, separator)
    sentences = list(_sentences(rows, report, token_column, tag_column, comment))
    if not sentences:
        raise ValueError(Errors.E311.format(path=path, what="token lines"))
    if scheme == "auto":
        scheme = tagging.detect_scheme(
            [[tag for tag in sentence.tags if tag is not None] for sentence in sentences]
        )
    for members in _grouped(sentences, group):
        yield _make_doc(vocab, members, scheme, spaces, report, mark_sentences=group != 1)


def looks_like_columns(text: str) -> bool:
    """Whether a text has blank-line separated lines that end in tags."""
    n_lines = n_tagged = 0
    for _, line in numbered_lines(text[:20000]):
        cells = line.split()
        if len(cells) < 2:
            continue
        n_lines += 1
        tag = cells[-1]
        n_tagged += tag == "O" or (len(tag) > 2 and tag[0] in "BIOESLUM" and tag[1] == "-")
    return n_lines > 0 and n_tagged >= 0.9 * n_lines


def _check(*, scheme: str, separator: str, spaces: str, group: int) -> None:
    for name, value, allowed in (
        ("scheme", scheme, ("auto", *tagging.SCHEMES)),
        ("separator", separator, SEPARATORS),
        ("spaces", spaces, SPACES),
    ):
        if value not in allowed:
            raise ValueError(Errors.E313.format(name=name, expected=allowed, found=value))
    if group < 0:
        raise ValueError(Errors.E313.format(name="group", expected="0 or more", found=group))


def _split_rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells); no cells for a blank line. Never splits at Unicode spaces: tokens may
    be U+3000 or U+00A0."""
    lines = list(numbered_lines(text))
    if separator == "auto":
        filled = [line for _, line in lines if line.strip(" \t")]
        separator = "tab" if 2 * sum("\t" in line for line in filled) > len(filled) else "space"
    for number, line in lines:
        if not line.strip(" \t"):
            yield number, []
        elif separator == "tab":
            yield number, line.split("\t")
        else:
            yield number, [cell for cell in line.replace("\t", " ").split(" ") if cell]


def _sentences(
    rows: Iterable[tuple[int, list[str]]],
    report: Report,
    token_column: int,
    tag_column: int,
    comment: str,
) -> Iterator[TaggedSentence]:
    sentence = TaggedSentence()
    for line, cells in rows:
        if not cells:
            if sentence.tokens:
                yield sentence
                sentence = TaggedSentence()
            continue
        if comment and cells[0].startswith(comment):
            report.skip("comment line", line)
            continue
        if cells[0] == DOCSTART:
            report.skip(f"{DOCSTART} line", line)
            if sentence.tokens:
                yield sentence
            sentence = TaggedSentence(starts_document=True)
            continue
        token = _cell(cells, token_column)
        tag = _cell(cells, tag_column) if len(cells) > 1 else None
        if not token:
            report.reject("line without a token", line, "\t".join(cells))
            continue
        if tag is None:
            report.reject("line without a tag (token kept, entity unknown)", line, token)
        sentence.tokens.append(token)
        sentence.tags.append(tag.strip(" ") if tag is not None else None)
        sentence.lines.append(line)
    if sentence.tokens:
        yield sentence


def _cell(cells: list[str], column: int) -> str | None:
    return cells[column] if -len(cells) <= column < len(cells) else None


def _grouped(sentences: list[TaggedSentence], group: int) -> Iterator[list[TaggedSentence]]:
    members: list[TaggedSentence] = []
    for sentence in sentences:
        if members and (sentence.starts_document or (group and len(members) == group)):
            yield members
            members = []
        members.append(sentence)
    yield members


def _make_doc(
    vocab: Vocab,
    members: list[TaggedSentence],
    scheme: str,
    spaces: str,
    report: Report,
    *,
    mark_sentences: bool,
) -> Doc:
    words = [token for sentence in members for token in sentence.tokens]
    starts: list[bool] | None = None
    if mark_sentences:
        starts = [i == 0 for sentence in members for i in range(len(sentence.tokens))]
    known = None if spaces == "single" else [False] * len(words)
    doc = Doc(vocab, words=words, spaces=known, sent_starts=starts)  # type: ignore[arg-type]
    entities: list[Span] = []
    missing: list[Span] = []
    offset = 0
    for sentence in members:
        found, repairs, illegal = tagging.decode([tag or "" for tag in sentence.tags], scheme)
        for start, end, label in found:
            entities.append(Span(doc, offset + start, offset + end, label=label))
        for i, kind in repairs:
            report.repair(kind, sentence.lines[i], f"{sentence.tokens[i]} {sentence.tags[i]}")
        for i in illegal:
            missing.append(Span(doc, offset + i, offset + i + 1))
            tag = sentence.tags[i]
            if tag is not None:
                detail = f"{sentence.tokens[i]} {tag!r} is no tag of scheme {scheme}"
                report.reject("illegal tag (token kept, entity unknown)", sentence.lines[i], detail)
        offset += len(sentence.tokens)
    doc.set_ents(entities, missing=missing, default="outside")
    return doc
