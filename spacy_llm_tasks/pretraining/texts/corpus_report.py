"""What became of every document on the way from the files to the two splits of a corpus."""

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Any

MAX_PLACES = 10


@dataclass
class Split:
    """What one side of a corpus holds.

    documents (int): Its documents.
    characters (int): Their characters.
    sha256 (str): Of their UTF-8 texts in order, each followed by a zero byte.
    """

    documents: int = 0
    characters: int = 0
    sha256: str = ""


@dataclass
class CorpusReport:
    """Counts of what was read, left out, mended and kept; nothing is dropped in silence.

    files (int): Files that were read. The documentation of Python counts as one.
    documents (int): Documents that were read from them.
    characters (int): Characters of these documents, as they were read.
    unusable (Counter): Reason -> lines, rows or documents that could not be read.
    repaired (Counter): Kind -> documents that were read with something replaced or missing.
    skipped (Counter): Kind -> files of a folder that were passed by.
    dropped (Counter): Reason -> documents that were read and then left out: too short, no text,
        duplicates.
    cleaned (int): Documents that cleaning changed.
    capped (int): Documents of which only the first `max_characters` were taken.
    scrubbed (Counter): Placeholder -> how often it replaced something.
    duplicate_bytes (int): Bytes of memory that looking for duplicates took per document kept.
    train, held_out (Split): The two sides.
    places (dict): Reason or kind -> the first places, as "file:line: detail".
    """

    files: int = 0
    documents: int = 0
    characters: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    cleaned: int = 0
    capped: int = 0
    scrubbed: Counter[str] = field(default_factory=Counter)
    duplicate_bytes: int = 0
    train: Split = field(default_factory=Split)
    held_out: Split = field(default_factory=Split)
    places: dict[str, list[str]] = field(default_factory=dict)

    def reject(self, reason: str, place: str, detail: str = "") -> None:
        """Count something that could not be read."""
        self.unusable[reason] += 1
        self._remember(reason, place, detail)

    def repair(self, kind: str, place: str, detail: str = "") -> None:
        """Count a document that was read with something replaced or missing."""
        self.repaired[kind] += 1
        self._remember(kind, place, detail)

    def skip(self, kind: str) -> None:
        """Count a file that was passed by."""
        self.skipped[kind] += 1

    def reasons(self) -> str:
        """RETURNS (str): Why documents are missing, the most frequent reason first."""
        counts = (self.unusable + self.dropped + self.skipped + self.repaired).most_common()
        return ", ".join(f"{n} x {reason}" for reason, n in counts) or "there were none"

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): All counts, for JSON; `from_dict` takes them back."""
        found = {known.name: getattr(self, known.name) for known in fields(self)}
        # Not `asdict`, which before Python 3.12 makes counts of a Counter's items.
        return {
            name: asdict(value)
            if isinstance(value, Split)
            else {key: list(places) for key, places in value.items()}
            if name == "places"
            else dict(value)
            if isinstance(value, Counter)
            else value
            for name, value in found.items()
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CorpusReport":
        """RETURNS (CorpusReport): The report of which `to_dict` made this."""
        report = cls()
        for known in fields(cls):
            value = data[known.name]
            now = getattr(report, known.name)
            if isinstance(now, Counter):
                value = Counter(value)
            elif isinstance(now, Split):
                value = Split(**value)
            setattr(report, known.name, value)
        return report

    def rows(self) -> list[tuple[str, str, str]]:
        """RETURNS (list[tuple[str, str, str]]): Name, documents and characters of every count, for
        a table. What is counted otherwise than in documents says so in its name.
        """
        rows = [
            ("", "documents", "characters"),
            ("read", f"{self.documents:,}", f"{self.characters:,}"),
        ]
        for what, counts in (
            ("unusable: ", self.unusable),
            ("repaired: ", self.repaired),
            ("dropped: ", self.dropped),
            ("files passed by: ", self.skipped),
            ("replaced by ", self.scrubbed),
        ):
            rows.extend((f"{what}{name}", f"{n:,}", "") for name, n in counts.most_common())
        for name, n in (("changed by cleaning", self.cleaned), ("cut at the limit", self.capped)):
            if n:
                rows.append((name, f"{n:,}", ""))
        for name, split in (("train", self.train), ("held out", self.held_out)):
            rows.append((name, f"{split.documents:,}", f"{split.characters:,}"))
        return rows

    def _remember(self, reason: str, place: str, detail: str) -> None:
        places = self.places.setdefault(reason, [])
        if len(places) < MAX_PLACES:
            shown = detail if len(detail) <= 80 else f"{detail[:77]}..."
            places.append(place + (f": {shown}" if shown else ""))
