"""The annotator in the shape of other engines, which are played here."""

import pickle
from functools import partial

import pytest
import spacy

from spacy_llm_tasks.annotate.annotator import Annotator, AnnotatorSettings
from spacy_llm_tasks.annotate.engines import partition
from spacy_llm_tasks.annotate.engines.partition import annotate_partition
from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.annotate.reading.shards import Cut, batches_of

ROWS = [Row(f"d{i}", "Harbury has bridges. " * (1 + i % 5), {"n": i}) for i in range(25)]


def map_partitions(function, partitions):
    """As Dask and Spark do it: the function travels, and gets a stream for each partition."""
    sent = pickle.dumps(function)
    return [list(pickle.loads(sent)(iter(rows))) for rows in partitions]


@pytest.fixture
def settings(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "TOWN", "pattern": "Harbury"}])
    nlp.to_disk(tmp_path / "nlp")
    return AnnotatorSettings(pipeline=str(tmp_path / "nlp"), parts=("text", "ents"))


def test_partitions_are_annotated_by_one_pipeline(settings, monkeypatch):
    loaded = []
    load = Annotator._load
    monkeypatch.setattr(Annotator, "_load", lambda self: loaded.append(1) or load(self))
    found = map_partitions(partial(annotate_partition, settings), [ROWS[:10], ROWS[10:], []])
    assert [len(partition) for partition in found] == [10, 15, 0]
    records = [one.record for partition in found for one in partition]
    assert [(record["id"], record["columns"]["n"]) for record in records] == [
        (r.id, r.columns["n"]) for r in ROWS
    ]
    assert [len(record["ents"]) for record in records] == [1 + i % 5 for i in range(25)]
    assert len(loaded) == 1


def test_an_annotator_travels_as_its_settings(settings):
    annotator = Annotator(settings)
    annotator.nlp  # noqa: B018  (loads the pipeline, which does not travel)
    assert len(pickle.dumps(annotator)) < 1000
    (found,) = map_partitions(annotator_of_batches(annotator), [ROWS])
    assert [one.record for one in found] == [one.record for one in annotator(ROWS)]


def annotator_of_batches(annotator):
    return partial(_annotate, annotator)


def _annotate(annotator, rows):
    return iter(annotator(list(rows)))


def test_batches_end_where_those_of_a_run_do(settings, monkeypatch):
    sizes = []

    class Counted:
        def __call__(self, rows):
            sizes.append(len(rows))
            return rows

    monkeypatch.setattr(partition, "_annotator", lambda settings: Counted())
    for cut in (Cut(batch_rows=4), Cut(batch_characters=130), Cut(batch_characters=1)):
        sizes.clear()
        assert list(annotate_partition(settings, iter(ROWS), cut=cut)) == ROWS
        assert sizes == [end - start for start, end in batches_of(ROWS, cut)]


def test_settings_may_be_lists(settings):
    given = AnnotatorSettings(pipeline=settings.pipeline, parts=["text", "ents"], questions=[])
    assert given == settings
    found = list(annotate_partition(given, ROWS[:2]))
    assert [len(one.record["ents"]) for one in found] == [1, 2]
    for name, value in (("parts", "ents"), ("questions", "Who?"), ("questions", [1])):
        with pytest.raises(ValueError, match=f"E806.*{name} must be a list or tuple of strings"):
            AnnotatorSettings(**{"pipeline": "", "parts": (), name: value})
