import json

from spacy_llm_tasks.annotate.reading.rows import BadRow
from spacy_llm_tasks.annotate.writing.shard_summary import SLOWEST, ShardSummary


def record(id="x", **parts):
    return {"id": id, "columns": {}, **parts}


def test_what_is_counted():
    summary = ShardSummary()
    summary.add(
        record(
            ents=[{"label": "PER"}, {"label": "PER"}, {"label": "LOC"}],
            spans=[{"group": "sc", "label": "X"}],
            relations=[{"label": "KNOWS"}],
            cats=[{"label": "A", "score": 0.5}, {"label": "B", "score": 0.4}],
            answers=[{"question": "Who?", "text": "Ada"}, {"question": "When?", "text": ""}],
        ),
        n_tokens=5,
        n_characters=20,
        mended=True,
    )
    summary.add(record(ents=None, cats=[{"label": "B", "score": 0.3}]), n_tokens=1, n_characters=2)
    summary.add_bad(BadRow("y", "a", 1, "broken"))
    summary.add_bad(BadRow("z", "a", 2, "no UTF-8", left_out=True))
    assert summary.to_dict() == {
        "documents": 2,
        "bad_rows": 1,
        "left_out": 1,
        "mended": 1,
        "characters": 22,
        "tokens": 6,
        "ents": {"PER": 2, "LOC": 1},
        "spans": {"sc/X": 1},
        "relations": {"KNOWS": 1},
        "cats": {"A": 1},
        "best_cats": {"A": 1, "B": 1},
        "answers": {"Who?": 1, "When?": 0},
        "slowest": [],
    }


def test_merged_shards_are_the_run():
    records = [
        record(str(i), ents=[{"label": "AB"[i % 2]}], answers=[{"question": "q", "text": ""}])
        for i in range(100)
    ]
    whole, parts = ShardSummary(), [ShardSummary() for _ in range(3)]
    for i, one in enumerate(records):
        for summary in (whole, parts[i % 3]):
            summary.add(one, n_tokens=i, n_characters=2 * i, seconds=(i * 37 % 100) / 10)
    merged = ShardSummary()
    for part in parts:
        merged.merge(ShardSummary.from_dict(json.loads(json.dumps(part.to_dict()))))
    assert merged == whole and merged.answers == {"q": 0}
    assert "q" in merged.to_dict()["answers"]
    assert len(whole.slowest) == SLOWEST
    assert [seconds for seconds, _ in whole.slowest] == [(99 - i) / 10 for i in range(SLOWEST)]
