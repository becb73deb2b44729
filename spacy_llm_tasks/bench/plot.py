"""The results of a benchmark as bars, in an SVG picture (https://www.w3.org/TR/SVG11/).

A bar is as long as the median. Where the seconds of each round are known, a line across its end
goes from the slowest round to the fastest: sides whose lines overlap were not told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from ..render.svg import FONT
from ..render.words import escape, width_of

Row = Mapping[str, Any]

WIDTH = 720.0
SIZE = 13.0  # of letters
STEP, THICK = 26.0, 16.0  # from one bar to the next, and how thick they are
EDGE, GAP = 12.0, 8.0
COLOUR, LINE = "#4c78a8", "#333333"


@dataclass(frozen=True)
class Plot:
    """What is drawn of each entry of the `results` of a report.

    title (str): Says what was measured, and the unit of the numbers.
    value (str): The key of the number.
    label (Callable): From the entry to the name of its bar.
    seconds (str): The key of the seconds of each round, of which the number is the reverse; "" if
        there are none.
    digits (int): Behind the decimal point.
    """

    title: str
    value: str
    label: Callable[[Row], str]
    seconds: str = ""
    digits: int = 0


def draw(plot: Plot, found: Mapping[str, Any]) -> str:
    """Draw a report.

    plot (Plot): What of it.
    found (Mapping): The report; entries without the value have no bar.
    RETURNS (str): An `<svg>` element; a whole file if it is written to one.
    """
    rows = [row for row in found["results"] if row.get(plot.value) is not None]
    names = [plot.label(row) for row in rows]
    values = [f"{row[plot.value]:,.{plot.digits}f}" for row in rows]
    ranges = [_range(plot, row) for row in rows]
    left = EDGE + max((width_of(name, size=SIZE) for name in names), default=0.0) + GAP
    right = max((width_of(value, size=SIZE) for value in values), default=0.0) + GAP + EDGE
    longest = max((high for _, high in ranges), default=0.0) or 1.0
    scale = max(WIDTH - left - right, 1.0) / longest
    height = 2 * EDGE + STEP * (len(rows) + 1)
    parts = [_text(EDGE, EDGE + SIZE, plot.title, bold=True)]
    for number, row in enumerate(rows, start=1):
        y = EDGE + STEP * number
        low, high = (left + scale * end for end in ranges[number - 1])
        middle = y + THICK / 2
        parts += [
            _text(left - GAP, y + SIZE, names[number - 1], anchor="end"),
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{scale * row[plot.value]:.1f}" '
            f'height="{THICK:g}" fill="{COLOUR}"/>',
            _text(high + GAP, y + SIZE, values[number - 1]),
        ]
        if high > low:
            parts.append(
                f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="{LINE}" stroke-width="2"/>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:g}" height="{height:g}" '
        f'viewBox="0 0 {WIDTH:g} {height:g}" font-family="{FONT}" font-size="{SIZE:g}">'
        f"{''.join(parts)}</svg>"
    )


def _range(plot: Plot, row: Row) -> tuple[float, float]:
    """The values of the slowest and of the fastest round."""
    value, seconds = float(row[plot.value]), row.get(plot.seconds) or [1.0]
    usual = median(seconds)
    return value * usual / max(seconds), value * usual / min(seconds)


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
