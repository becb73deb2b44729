"""What a run has done, told at its end: in numbers for programs and as a page for people."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...files import write_json, write_text
from ..writing.faults import write_faults
from ..writing.report_page import report_page
from ..writing.shard_summary import ShardSummary
from .journal import Journal
from .progress import Meter

ERRORS, SUMMARY, REPORT = "errors.jsonl", "summary.json", "report.html"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run has done.

    output (Path): Its folder.
    is_finished (bool): Whether all of the corpus is done; if not, the run can be resumed.
    rows (int): Documents in the output.
    errors (int): Documents in errors.jsonl.
    shards (int): Files of output.
    session_rows (int): Documents of this session, those that failed too.
    seconds (float): Of this session, from when the corpus is known on; workers may still load then.
    rows_per_second (float): Of this session.
    words_per_second (float): Of this session; a word is a token of spaCy.
    memory (list[dict]): What the processes held at 10, 50 and 100 % of the session's rows, in
        bytes: `share`, `rows`, `parent`, and `workers` as a list.
    labels (ShardSummary): Labels, sizes and the slowest documents.
    index_entries (int | None): Entries of the search index; None if there is none.
    passed_by (dict): Files in the input folders that were not read, being of other kinds: how many
        by their suffix. It belongs to the call, and is not in summary.json.
    """

    output: Path
    is_finished: bool
    rows: int
    errors: int
    shards: int
    session_rows: int
    seconds: float
    rows_per_second: float
    words_per_second: float
    memory: list[dict[str, Any]]
    labels: ShardSummary
    index_entries: int | None = None
    passed_by: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): For summary.json."""
        names = ("is_finished", "rows", "errors", "shards", "session_rows")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        for name in ("seconds", "rows_per_second", "words_per_second"):
            found[name] = round(getattr(self, name), 3)
        if self.index_entries is not None:
            found["index_entries"] = self.index_entries
        return {**found, "memory": self.memory, "labels": self.labels.to_dict()}

    @classmethod
    def read(cls, folder: Path) -> "Summary | None":
        """RETURNS (Summary | None): What summary.json says; None if there is none, or not whole."""
        try:
            found = json.loads((folder / SUMMARY).read_text(encoding="utf8"))
            return cls(
                **{**found, "output": folder, "labels": ShardSummary.from_dict(found["labels"])}
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def conclude(
    output: Path,
    journal: Journal,
    meter: Meter,
    *,
    is_finished: bool,
    index_entries: int | None = None,
) -> Summary:
    """Put together what all sessions of a run have done, and write it to its folder.

    output (Path): The folder.
    journal (Journal): What is done.
    meter (Meter): The session.
    is_finished (bool): Whether all is done.
    index_entries (int | None): Entries of the search index.
    RETURNS (Summary): The summary, which is in summary.json and report.html; errors.jsonl has the
        errors in the order of the corpus. A session that found all done already leaves what the
        last one wrote, and one that was stopped before anything was done writes nothing.
    """
    labels, rows, errors = ShardSummary(), 0, 0
    for done in journal.in_order():
        labels.merge(ShardSummary.from_dict(done.summary))
        rows += done.written
        errors += len(done.faults)
    if is_finished and not meter.session_rows:
        before = Summary.read(output)
        now = {"is_finished": True, "rows": rows, "errors": errors, "index_entries": index_entries}
        if before is not None and all(getattr(before, name) == now[name] for name in now):
            return replace(before, session_rows=0)
    seconds = max(meter.seconds, 1e-9)
    summary = Summary(
        output=output,
        is_finished=is_finished,
        rows=rows,
        errors=errors,
        shards=len(journal),
        session_rows=meter.session_rows,
        seconds=meter.seconds,
        rows_per_second=meter.session_rows / seconds,
        words_per_second=meter.tokens / seconds,
        memory=meter.memory(),
        labels=labels,
        index_entries=index_entries,
    )
    if not is_finished and not len(journal):
        return summary
    write_faults(output / ERRORS, (fault for done in journal.in_order() for fault in done.faults))
    write_json(output / SUMMARY, summary.to_dict())
    page = report_page({"title": output.resolve().name, **summary.to_dict()})
    write_text(output / REPORT, page)
    return summary
