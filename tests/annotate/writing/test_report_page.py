import xml.etree.ElementTree as ET

from spacy_llm_tasks.annotate.writing.report_page import MOST_BARS, report_page
from spacy_llm_tasks.annotate.writing.shard_summary import ShardSummary

HOSTILE = "<script>alert('x')</script>\x1b&\"]]>"


def parsed(page):
    return ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def words(page):
    return " ".join(parsed(page).itertext())


def test_everything_from_outside_is_escaped():
    labels = ShardSummary(documents=1)
    for name in ("ents", "spans", "relations", "cats", "best_cats", "answers"):
        getattr(labels, name)[HOSTILE] = 2
    labels.slowest = [(1.5, HOSTILE)]
    summary = {"title": HOSTILE, "pipeline": HOSTILE, HOSTILE: 3, "labels": labels.to_dict()}
    page = report_page(summary)
    assert "<script" not in page
    tags = {element.tag.rpartition("}")[2] for element in parsed(page).iter()}
    assert tags <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p"),
        *("table", "tr", "th", "td", "bdi", "div"),
    }
    # Title and heading, the facts, six charts and the slowest document.
    assert words(page).count("<script>alert('x')</script>\ufffd&\"]]>") == 11


def test_nothing_is_loaded_from_elsewhere():
    page = report_page({"labels": ShardSummary(documents=1, ents={"A": 1}).to_dict()})
    assert "src=" not in page and "href=" not in page and "url(" not in page
    assert page.count("http") == 2  # of XHTML's namespace and of `http-equiv`


def test_bars_are_as_long_as_the_counts():
    labels = ShardSummary(documents=4, ents={"A": 8, "B": 2, "C": 0})
    page = report_page({"labels": labels.to_dict()})
    assert "width: 100.0%" in page and "width: 25.0%" in page and page.count("<div") == 2
    assert "10 in all, 2.50 a document." in words(page)


def test_many_labels_are_summed_up():
    labels = ShardSummary(documents=1, ents={f"L{i:03}": 500 - i for i in range(MOST_BARS + 5)})
    found = words(report_page({"labels": labels.to_dict()}))
    assert f"L{MOST_BARS - 1:03}" in found and f"L{MOST_BARS:03}" not in found
    rest = sum(500 - i for i in range(MOST_BARS, MOST_BARS + 5))
    assert f"And 5 more, {rest:,} in all." in found


def test_facts_and_memory():
    page = report_page(
        {
            "rows": 12345,
            "rows_per_second": 1234.567,
            "resumed": True,
            "pipeline": "x" * 300,
            "nested": {"left": "out"},
            "memory": [{"share": 0.1, "parent": 100_000_000, "workers": [2_000_000, 3_000_000]}],
        }
    )
    found = " ".join(words(page).split())
    for fact in ("rows 12,345", "rows per second 1,234.57", "resumed yes", "10 % 100 5"):
        assert fact in found
    assert "x" * 200 + "…" in found and "left" not in found
    assert "documents 0" in found
