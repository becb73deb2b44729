import json
import re

from spacy_llm_tasks.pretraining.curves import collect, draw, read_log, write_page

LOG = [
    {"step": 10, "train": {"masked": {"loss": 5.0}}, "rate": 0.5},
    {"step": 20, "train": {"masked": {"loss": 4.0}}, "rate": 1.0},
    {"step": 20, "held-out": {"masked": {"loss": 4.5, "accuracy": 0.25}}, "best": True},
    {"step": 30, "train": {"masked": {"loss": float("nan")}}, "rate": 0.0},
]


def test_numbers_are_sorted_by_name():
    assert collect(LOG) == {
        "train masked loss": [(10, 5.0), (20, 4.0)],
        "rate": [(10, 0.5), (20, 1.0), (30, 0.0)],
        "held-out masked loss": [(20, 4.5)],
        "held-out masked accuracy": [(20, 0.25)],
    }


def test_the_lowest_value_is_drawn_lowest():
    drawing = draw({"a": [(0, 3.0), (1, 1.0), (2, 2.0)]})
    points = re.search('points="([^"]*)"', drawing)[1].split()
    xs, ys = zip(*((float(x), float(y)) for x, y in (p.split(",") for p in points)), strict=True)
    assert xs == tuple(sorted(xs))
    assert ys[0] < ys[2] < ys[1]  # the y of SVG grows downwards


def test_a_page_holds_everything_and_escapes_names(tmp_path):
    path = tmp_path / "curves.html"
    write_page(path, [*LOG, {"step": 30, "train": {"<b>": {"loss": 1.0}}}], title="A & B")
    page = path.read_text(encoding="utf8")
    assert page.count("<svg") == 3  # losses, accuracy, rate
    assert "A &amp; B" in page and "&lt;b&gt;" in page and "<b>" not in page
    assert "http" not in page


def test_half_a_line_of_a_log_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(LOG[0]) + "\n" + json.dumps(LOG[1])[:20], encoding="utf8")
    assert read_log(path) == [LOG[0]]
    assert read_log(tmp_path / "none.jsonl") == []
