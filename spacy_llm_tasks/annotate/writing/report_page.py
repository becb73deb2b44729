"""What a run found, on a page for people: HTML that is also well-formed XML, in one file with
nothing to load and nothing of what the documents say."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...render.svg import FONT
from ...render.words import escape
from .shard_summary import IS_SO, ShardSummary

MOST_BARS = 40
_MOST_FACT_CHARS = 200
_STYLE = f"""
body {{ margin: 2rem auto; max-width: 62rem; padding: 0 1rem; font-family: {FONT};
  color: #202020; background: #ffffff; line-height: 1.5 }}
h1 {{ font-size: 1.3rem; font-weight: 600 }}
h2 {{ font-size: 1.05rem; font-weight: 600; margin-top: 2rem }}
table {{ border-collapse: collapse; font-size: .85rem }}
td, th {{ padding: .15rem .75rem .15rem 0; text-align: start; font-weight: 400;
  overflow-wrap: anywhere }}
td.n {{ text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap }}
td.bar {{ width: 24rem }}
td.bar div {{ background: #4c78a8; height: .7rem; border-radius: 2px; min-width: 1px }}
p {{ font-size: .85rem; color: #606060 }}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
# Name in `ShardSummary`, heading, and what is counted.
_CHARTS = (
    ("ents", "Entities", ""),
    ("spans", "Spans", "Group and label."),
    ("relations", "Relations", ""),
    ("cats", "Categories", f"Documents with a score of {IS_SO} or more."),
    ("best_cats", "Highest category", "Documents in which no other has a higher score."),
    ("answers", "Questions", "Documents that answer them."),
)
_COUNTS = (
    ("documents", "documents"),
    ("bad_rows", "rows that could not be read"),
    ("left_out", "rows left out, being no UTF-8"),
    ("mended", "documents in which bytes were replaced"),
    ("characters", "characters"),
    ("tokens", "tokens"),
)


def report_page(summary: Mapping[str, Any]) -> str:
    """Write the page of a run.

    summary (Mapping[str, Any]): Of the run. Its "labels" is a `ShardSummary` as a dict; "title" is
        the page's heading; "memory" may be a list of {"share": 0 to 1, "parent": bytes,
        "workers": list of bytes}. Whatever else is a number or a text becomes a line of the
        table on top.
    RETURNS (str): The page. It names documents by their ids and shows nothing of their text.
    """
    title = str(summary.get("title", "Annotation of a corpus"))
    found = summary.get("labels")
    labels = ShardSummary() if found is None else ShardSummary.from_dict(found)
    parts = [
        "<!DOCTYPE html>",
        '<html xmlns="http://www.w3.org/1999/xhtml" lang="en">',
        f'<head><meta charset="utf-8"/><title>{escape(title)}</title>',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}"/>',
        f"<style>{_STYLE}</style></head>",
        f"<body><h1>{escape(title)}</h1>",
        *_table([*_facts(summary), *_counts(labels)]),
    ]
    for name, heading, note in _CHARTS:
        parts += _chart(heading, note, getattr(labels, name), labels.documents)
    parts += _slowest(labels.slowest)
    parts += _memory(summary.get("memory") or ())
    return "\n".join([*parts, "</body></html>", ""])


def _facts(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in summary.items():
        if name == "title" or not isinstance(value, str | int | float):
            continue
        if isinstance(value, bool):
            shown = "yes" if value else "no"
        elif isinstance(value, str):
            shown = value if len(value) <= _MOST_FACT_CHARS else f"{value[:_MOST_FACT_CHARS]}…"
        else:
            shown = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
        yield name.replace("_", " "), shown


def _counts(labels: ShardSummary) -> Iterator[tuple[str, str]]:
    for name, shown in _COUNTS:
        n = getattr(labels, name)
        if n or name == "documents":
            yield shown, f"{n:,}"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield "<table>"
    for name, *values in rows:
        cells = "".join(f'<td class="n">{escape(value)}</td>' for value in values)
        yield f"<tr><th><bdi>{escape(name)}</bdi></th>{cells}</tr>"
    yield "</table>"


def _chart(heading: str, note: str, counts: Mapping[str, int], documents: int) -> Iterator[str]:
    """Bars, the longest for the most frequent label."""
    if not counts:
        return
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown, others = ordered[:MOST_BARS], ordered[MOST_BARS:]
    longest = max(shown[0][1], 1)
    total = sum(counts.values())
    per_document = f"{total / documents:.2f} a document. " if documents else ""
    yield f"<h2>{escape(heading)}</h2>"
    yield f"<p>{total:,} in all, {per_document}{escape(note)}</p>"
    yield "<table>"
    for label, n in shown:
        bar = f'<div style="width: {100 * n / longest:.1f}%"></div>' if n else ""
        yield (
            f"<tr><th><bdi>{escape(label or '(no label)')}</bdi></th>"
            f'<td class="n">{n:,}</td><td class="bar">{bar}</td></tr>'
        )
    yield "</table>"
    if others:
        yield f"<p>And {len(others):,} more, {sum(n for _, n in others):,} in all.</p>"


def _slowest(slowest: Sequence[tuple[float, str]]) -> Iterator[str]:
    if slowest:
        yield "<h2>Slowest documents</h2><p>By id, in seconds.</p>"
        yield from _table([(id, f"{seconds:,.3f}") for seconds, id in slowest])


def _memory(memory: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if memory:
        yield "<h2>Memory</h2><p>MB of the run itself, and of its workers together.</p>"
        rows = []
        for point in memory:
            workers = sum(point.get("workers") or ())
            mega = [f"{n / 1e6:,.0f}" for n in (point.get("parent") or 0, workers)]
            rows.append((f"{100 * point['share']:.0f} %", *mega))
        yield from _table(rows)
