"""A page of pictures: HTML that is also well-formed XML, in one file with nothing to load."""

from collections.abc import Iterable, Mapping

from spacy.tokens import Doc

from .marks import Picture, colours, picture_of
from .svg import FONT, GAP, SURE, draw
from .words import escape

STYLE = f"""
body {{ margin: 2rem auto; max-width: 62rem; padding: 0 1rem; font-family: {FONT};
  color: #202020; background: #ffffff; line-height: 1.5 }}
h1 {{ font-size: 1.3rem; font-weight: 600 }}
figure {{ margin: 0; padding: 1rem 0; border-top: 1px solid #e0e0e0; overflow-x: auto }}
figcaption {{ font-size: .75rem; color: #707070 }}
ul.legend {{ list-style: none; padding: 0; margin: 0 0 .5rem; font-size: .85rem; display: flex;
  flex-wrap: wrap; gap: .25rem 1.25rem }}
ul.legend svg {{ margin-inline-end: .4rem; vertical-align: middle }}
"""


def page(
    docs: Iterable[Doc],
    *,
    title: str = "Relations",
    width: float = 960.0,
    spans_key: str = "",
    colors: Mapping[str, str] | None = None,
) -> str:
    """Write a page with a picture of each doc.

    docs (Iterable[Doc]): The docs.
    title (str): The page's heading.
    width (float): Of the pictures in pixels, 240 at least.
    spans_key (str): A group of `doc.spans` to draw besides `doc.ents`.
    colors (Mapping[str, str]): Colours of some labels, as CSS writes them.
    RETURNS (str): The page.
    RAISES (ValueError): If relations do not fit their doc.
    """
    pictures = [picture_of(doc, spans_key=spans_key) for doc in docs]
    palette = colours(pictures, colors)
    width = max(float(width), 240.0)
    parts = [
        "<!DOCTYPE html>",
        '<html xmlns="http://www.w3.org/1999/xhtml" lang="en">',
        f'<head><meta charset="utf-8"/><title>{escape(title)}</title>',
        f"<style>{STYLE}</style></head>",
        f"<body><h1>{escape(title)}</h1>",
        *_legend(pictures, palette),
    ]
    for number, picture in enumerate(pictures, start=1):
        height, elements = draw(picture, palette, width=width)
        size = f'width="{width:g}" height="{height + GAP:.1f}"'
        box = f'viewBox="0 0 {width:g} {height + GAP:.1f}"'
        count = f"{len(picture.marks)} entities, {len(picture.arrows)} relations"
        parts += [
            f"<figure><figcaption>Document {number}: {count}</figcaption>",
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box}>',
            *elements,
            "</svg></figure>",
        ]
    return "\n".join([*parts, "</body></html>", ""])


def _legend(
    pictures: list[Picture], palette: tuple[dict[str, str], dict[str, str]]
) -> Iterable[str]:
    if palette[0]:
        yield '<ul class="legend">'
        for label, colour in palette[0].items():
            n = sum(mark.label == label for picture in pictures for mark in picture.marks)
            sign = f'<rect width="18" height="10" rx="2" fill="{escape(colour)}"/>'
            yield _entry(sign, f"{label or '(no label)'} ({n})")
        yield "</ul>"
    if palette[1]:
        yield '<ul class="legend">'
        for label, colour in palette[1].items():
            n = sum(arrow.label == label for picture in pictures for arrow in picture.arrows)
            yield _entry(_line(colour), f"{label or '(no label)'} ({n})")
        yield "</ul>"
    if any(arrow.score < 1.0 for picture in pictures for arrow in picture.arrows):
        yield '<ul class="legend">'
        for _, dashes, text in SURE:
            yield _entry(_line("#606060", dashes), f"score {text}")
        yield "</ul>"


def _line(colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="M0 5H18" stroke="{escape(colour)}" stroke-width="1.5"{dashed}/>'


def _entry(sign: str, text: str) -> str:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="18" height="10">{sign}</svg>'
    return f"<li>{svg}<bdi>{escape(text)}</bdi></li>"
