import json

from spacy_llm_tasks.pretraining.texts.corpus_report import MAX_PLACES, CorpusReport, Split


def full():
    report = CorpusReport(files=2, documents=1300, characters=52000, cleaned=3, capped=1)
    for i in range(MAX_PLACES + 5):
        report.reject("no JSON", f"x.jsonl:{i}", "y" * 200)
    report.repair("replaced", "x.txt:3")
    report.skip(".csv")
    report.dropped.update(short=4, duplicate=9)
    report.scrubbed["<EMAIL>"] = 7
    report.train = Split(1200, 48000, "ab")
    report.held_out = Split(30, 900, "cd")
    return report


def test_through_json_and_back():
    report = full()
    data = json.loads(json.dumps(report.to_dict()))
    again = CorpusReport.from_dict(data)
    assert again == report and again.dropped == {"short": 4, "duplicate": 9}
    again.reject("no JSON", "x.jsonl:99")
    assert again.unusable["no JSON"] == MAX_PLACES + 6


def test_places_are_few_and_short():
    places = full().places["no JSON"]
    assert len(places) == MAX_PLACES and places[0] == "x.jsonl:0: " + "y" * 77 + "..."


def test_rows():
    rows = full().rows()
    assert {len(row) for row in rows} == {3}
    found = {name: (n, characters) for name, n, characters in rows}
    assert found["read"] == ("1,300", "52,000") and found["train"] == ("1,200", "48,000")
    assert found["unusable: no JSON"] == ("15", "") and found["dropped: duplicate"] == ("9", "")
    assert found["files passed by: .csv"] == ("1", "") and found["replaced by <EMAIL>"] == ("7", "")
    assert found["changed by cleaning"] == ("3", "") and found["held out"] == ("30", "900")
    assert "cut at the limit" not in {row[0] for row in CorpusReport().rows()}


def test_reasons():
    assert full().reasons() == "15 x no JSON, 9 x duplicate, 4 x short, 1 x .csv, 1 x replaced"
    assert CorpusReport().reasons() == "there were none"
