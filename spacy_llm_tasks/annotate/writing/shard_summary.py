"""What the documents of a shard hold, as counts that add up to those of the run."""

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..reading.rows import BadRow

SLOWEST = 20
IS_SO = 0.5  # a category with this score or more is the document's


@dataclass
class ShardSummary:
    """Counts of one shard, or of several that were merged.

    documents (int): Documents that were annotated.
    bad_rows (int): Rows that could not be read.
    left_out (int): Rows that were left out as the user asked.
    mended (int): Documents in which something was no Unicode text and has been replaced.
    characters (int): Characters of the documents.
    tokens (int): Their tokens.
    ents, spans, relations (Counter[str]): Label -> how often. Labels of spans stand behind the name
        of their group and a slash.
    cats (Counter[str]): Category -> documents that have it with a score of 0.5 or more.
    best_cats (Counter[str]): Category -> documents in which no other has a higher score.
    answers (Counter[str]): Question -> documents that answer it.
    slowest (list[tuple[float, str]]): Seconds and id of the slowest documents, slowest first.
    """

    documents: int = 0
    bad_rows: int = 0
    left_out: int = 0
    mended: int = 0
    characters: int = 0
    tokens: int = 0
    ents: Counter[str] = field(default_factory=Counter)
    spans: Counter[str] = field(default_factory=Counter)
    relations: Counter[str] = field(default_factory=Counter)
    cats: Counter[str] = field(default_factory=Counter)
    best_cats: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, str]] = field(default_factory=list)

    def add(
        self,
        record: Mapping[str, Any],
        *,
        n_tokens: int,
        n_characters: int,
        seconds: float | None = None,
        mended: bool = False,
    ) -> None:
        """Count a document.

        record (Mapping[str, Any]): What `outputs.row_of` made of it; parts that were not asked for
            are not counted.
        n_tokens (int): Its tokens.
        n_characters (int): Its characters.
        seconds (float | None): How long it took; None if nobody knows.
        mended (bool): Something in it has been replaced, see `Row`.
        """
        self.documents += 1
        self.mended += mended
        self.characters += n_characters
        self.tokens += n_tokens
        self.ents.update(ent["label"] for ent in record.get("ents") or ())
        self.spans.update(f"{s['group']}/{s['label']}" for s in record.get("spans") or ())
        self.relations.update(relation["label"] for relation in record.get("relations") or ())
        cats = record.get("cats") or ()
        self.cats.update(cat["label"] for cat in cats if cat["score"] >= IS_SO)
        if cats:
            self.best_cats[max(cats, key=lambda cat: cat["score"])["label"]] += 1
        # A question that no document answers shall be seen too.
        for answer in record.get("answers") or ():
            self.answers[answer["question"]] += bool(answer["text"])
        if seconds is not None and (len(self.slowest) < SLOWEST or seconds >= self.slowest[-1][0]):
            self._keep_slowest([*self.slowest, (seconds, record["id"])])

    def add_bad(self, bad: BadRow) -> None:
        """Count a row that could not be read."""
        if bad.left_out:
            self.left_out += 1
        else:
            self.bad_rows += 1

    def merge(self, other: "ShardSummary") -> None:
        """Add the counts of other documents to these."""
        for known in fields(self):
            mine, more = getattr(self, known.name), getattr(other, known.name)
            if isinstance(mine, Counter):
                mine.update(more)  # not `+`, which forgets counts of zero
            elif known.name != "slowest":
                setattr(self, known.name, mine + more)
        self._keep_slowest([*self.slowest, *other.slowest])

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): All counts, for JSON, the most frequent labels first;
        `from_dict` takes them back."""
        found: dict[str, Any] = {}
        for known in fields(self):
            value = getattr(self, known.name)
            if isinstance(value, Counter):
                value = dict(sorted(value.items(), key=lambda pair: (-pair[1], pair[0])))
            elif known.name == "slowest":
                value = [list(pair) for pair in value]
            found[known.name] = value
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ShardSummary":
        """RETURNS (ShardSummary): The one of which `to_dict` made this."""
        summary = cls()
        for known in fields(cls):
            value = data[known.name]
            if isinstance(getattr(summary, known.name), Counter):
                value = Counter(value)
            elif known.name == "slowest":
                value = [(float(seconds), str(id)) for seconds, id in value]
            setattr(summary, known.name, value)
        return summary

    def _keep_slowest(self, found: list[tuple[float, str]]) -> None:
        self.slowest = heapq.nsmallest(SLOWEST, found, key=lambda pair: (-pair[0], pair[1]))
