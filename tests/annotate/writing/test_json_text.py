import datetime
import decimal
import json

import pytest

from spacy_llm_tasks.annotate.writing.json_text import to_json


def test_what_json_has_no_form_for():
    value = {
        "when": datetime.datetime(2001, 2, 3, 4, tzinfo=datetime.timezone.utc),
        "day": datetime.date(2001, 2, 3),
        "time": datetime.time(4, 5),
        "price": decimal.Decimal("1.50"),
        "bytes": b"\xff\x00",
        "pairs": [("k", float("inf")), ("l", {"x": float("nan"), "y": 1.5})],
    }
    assert json.loads(to_json(value)) == {
        "when": "2001-02-03T04:00:00+00:00",
        "day": "2001-02-03",
        "time": "04:05:00",
        "price": "1.50",
        "bytes": "/wA=",
        "pairs": [["k", None], ["l", {"x": None, "y": 1.5}]],
    }


def test_text_is_written_as_it_is():
    assert to_json("é\u2028\x00\n") == '"é\u2028\\u0000\\n"'
    with pytest.raises(TypeError, match="E809.*'?set"):
        to_json({"x": {1}})
