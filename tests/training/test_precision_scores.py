"""Scores of a pipeline in fewer bits, and what was lost."""

import pytest
import spacy
from pipeline import toys

from spacy_llm_tasks.training.precision_scores import Measured, Setting, compare, main_metrics


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    nlp = toys.empty_pipeline(toys.save_tokenizer(folder / "tokenizer"))
    nlp.add_pipe("trf_textcat")
    nlp.add_pipe("trf_ner")
    toys.overfit(nlp, steps=40)
    nlp.to_disk(folder / "model")
    return folder / "model"


def test_rows(pipeline):
    settings = [Setting("bf16"), Setting("int8"), Setting("int8", "int8")]
    report = compare(pipeline, toys.examples, settings)
    assert report.n_docs == len(toys.TEXTS)
    assert [row.setting for row in report.rows] == ["fp32", "bf16", "int8", "int8, int8 table"]
    exact, bf16, int8, reduced = report.rows
    assert exact.change == {} and exact.lost == 0
    assert exact.scores == {"cats_score": 1.0, "ents_f": 1.0}
    assert exact.encoder_bytes == bf16.encoder_bytes == int8.encoder_bytes
    assert reduced.encoder_bytes < exact.encoder_bytes / 2
    for row in (bf16, int8, reduced):
        for metric, points in row.change.items():
            assert points == pytest.approx(100 * (row.scores[metric] - 1.0))
    data = report.to_dict()
    assert data["n_docs"] == 2 and data["results"][2]["setting"] == "int8"


def test_stops_at_the_first_that_is_good_enough(pipeline):
    settings = [Setting("int8", table) for table in ("int8", "bf16", "fp32")]
    assert len(compare(pipeline, toys.examples, settings, until=100.0).rows) == 2
    assert len(compare(pipeline, toys.examples, settings, until=-1.0).rows) == 4


def test_what_was_lost():
    def lost(**change):
        return Measured("int8", 0, 0.0, {}, change).lost

    assert lost(a=-0.3, b=0.2, c=None) == 0.3
    assert lost(a=0.3) == lost(a=None) == lost() == 0.0


def test_scores_without_gold_are_left_out(pipeline):
    def read(nlp):
        return [eg for eg in toys.unannotated(nlp)]

    (exact, int8) = compare(pipeline, read, [Setting("int8")]).rows
    assert exact.scores["cats_score"] is None and int8.change["cats_score"] is None


def test_main_metrics(pipeline):
    assert main_metrics(spacy.load(pipeline)) == ["cats_score", "ents_f"]


def test_unknown_precision(pipeline):
    with pytest.raises(ValueError, match="E123.*int4"):
        compare(pipeline, toys.examples, [Setting("int4")])
