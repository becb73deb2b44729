"""The curves of a run as one HTML page: losses and learning rate over steps, drawn as SVG.

The page holds everything it shows; it needs no network, no script and no plotting library.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, MARGIN = 720, 260, 54
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")
# Curves share a chart when their names end alike: training and held-out loss belong together.
CHARTS = (
    ("Loss (nats per prediction)", "loss"),
    ("Accuracy of predictions", "accuracy"),
    ("Bits per byte", "bits_per_byte"),
    ("Learning rate, as a share of the highest", "rate"),
    ("Pieces per second", "pieces_per_second"),
)
STYLE = (
    "body{font:14px system-ui,sans-serif;max-width:780px;margin:2em auto;color:#24292f}"
    "svg{width:100%;height:auto}text{font:11px system-ui,sans-serif;fill:#57606a}"
    "td,th{padding:.2em 1em .2em 0;text-align:left}"
)

Curve = list[tuple[float, float]]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read the log of a run.

    path (Path): JSON lines.
    RETURNS (list[dict]): The lines; one that a kill has cut is left out.
    """
    lines = []
    for line in path.read_text(encoding="utf8").splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def write_page(path: Path, log: Sequence[Mapping[str, Any]], *, title: str) -> None:
    """Draw the curves of a log.

    path (Path): The HTML file to write.
    log (Sequence[Mapping]): Lines with `step`, numbers by name, and groups of numbers by name.
    title (str): Of the page.
    """
    curves = collect(log)
    parts = [f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"]
    parts.append(f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>")
    for heading, ending in CHARTS:
        chosen = {name: curve for name, curve in curves.items() if name.endswith(ending)}
        if chosen:
            parts.append(f"<h2>{heading}</h2>{draw(chosen)}")
    parts.append("<h2>Last values</h2><table><tr><th>Curve<th>Step<th>Value")
    for name, curve in curves.items():
        step, value = curve[-1]
        parts.append(f"<tr><td>{html.escape(name)}<td>{step:g}<td>{value:.4g}")
    parts.append("</table>")
    path.write_text("".join(parts) + "\n", encoding="utf8")


def collect(log: Iterable[Mapping[str, Any]]) -> dict[str, Curve]:
    """Sort the numbers of a log by name.

    log (Iterable[Mapping]): Its lines.
    RETURNS (dict[str, Curve]): `(step, value)` by name; groups are joined by spaces, as in
        "held-out masked loss".
    """
    curves: dict[str, Curve] = {}
    for line in log:
        for name, value in _flat(line):
            if name != "step" and math.isfinite(value):
                curves.setdefault(name, []).append((line["step"], value))
    return curves


def draw(curves: Mapping[str, Curve]) -> str:
    """Draw curves into one chart.

    curves (Mapping[str, Curve]): By name, none empty.
    RETURNS (str): SVG.
    """
    points = [point for curve in curves.values() for point in curve]
    left, right = _span([x for x, _ in points])
    low, high = _span([y for _, y in points])

    def x_of(step: float) -> float:
        return MARGIN + (WIDTH - MARGIN - 10) * (step - left) / (right - left)

    def y_of(value: float) -> float:
        return HEIGHT - 30 - (HEIGHT - 60) * (value - low) / (high - low)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
    for k in range(5):
        value, y = low + (high - low) * k / 4, y_of(low + (high - low) * k / 4)
        parts.append(f'<path d="M{MARGIN} {y:.1f}H{WIDTH - 10}" stroke="#d0d7de"/>')
        parts.append(f'<text x="4" y="{y + 4:.1f}">{value:.3g}</text>')
    parts.append(f'<text x="{MARGIN}" y="{HEIGHT - 10}">{left:g}</text>')
    parts.append(f'<text x="{WIDTH - 10}" y="{HEIGHT - 10}" text-anchor="end">{right:g}</text>')
    for k, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[k % len(COLOURS)]
        line = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in curve)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        place = f'x="{MARGIN + 4 + 220 * (k % 3)}" y="{12 + 13 * (k // 3)}"'
        parts.append(f'<text {place} style="fill:{colour}">{html.escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _flat(line: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, float]]:
    for name, value in line.items():
        full = f"{prefix} {name}".strip()
        if isinstance(value, Mapping):
            yield from _flat(value, full)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield full, float(value)
