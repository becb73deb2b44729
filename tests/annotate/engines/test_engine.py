import pytest

from spacy_llm_tasks.annotate.annotator import AnnotatorSettings
from spacy_llm_tasks.annotate.engines.engine import EngineSettings, make_engine
from spacy_llm_tasks.annotate.engines.local import LocalEngine
from spacy_llm_tasks.annotate.engines.ray_engine import RayEngine
from spacy_llm_tasks.annotate.reading.shards import Cut
from spacy_llm_tasks.annotate.running.shard_file import OutputSettings
from spacy_llm_tasks.annotate.running.worker import WorkerSettings
from spacy_llm_tasks.annotate.settings import Settings


@pytest.mark.parametrize(
    "options, code",
    [
        ({"name": "spark"}, "E806.*engine"),
        ({"name": "ray", "gpus_per_worker": 0.0}, "E806.*gpus_per_worker"),
        ({"ray_address": "auto"}, "E871.*ray_address"),
        ({"gpus_per_worker": 1.0}, "E871.*gpus_per_worker"),
        ({"name": "ray", "ray_address": "ray://host:10001"}, "E872.*ray://host:10001"),
    ],
)
def test_impossible_choices_are_told(options, code):
    with pytest.raises(ValueError, match=code):
        EngineSettings(**options)


@pytest.mark.parametrize(
    "name, gpus, gpu_id, expected",
    [
        ("local", None, 2, (None, 2)),
        ("ray", None, -1, (None, -1)),
        ("ray", None, 0, (1.0, 0)),
        ("ray", 0.5, -1, (0.5, 0)),
        ("ray", 2.0, 0, (2.0, 0)),
    ],
)
def test_gpus_may_be_asked_for_in_two_ways(name, gpus, gpu_id, expected):
    engine = EngineSettings(name=name, gpus_per_worker=gpus)
    engine, settings = engine.with_gpus(Settings(gpu_id=gpu_id))
    assert (engine.gpus_per_worker, settings.gpu_id) == expected


def test_ray_chooses_the_gpu():
    with pytest.raises(ValueError, match="E873.*found 1"):
        EngineSettings(name="ray").with_gpus(Settings(gpu_id=1))


def test_an_engine_is_made_by_its_name():
    made_of = WorkerSettings(
        annotator=AnnotatorSettings(pipeline="nlp", parts=("text",)),
        output=OutputSettings(
            folder="out", temporary="out/.run", format="jsonl", columns={}, cut=Cut()
        ),
    )
    kinds = [
        type(make_engine(EngineSettings(name=name), made_of, workers=2))
        for name in ("local", "ray")
    ]
    assert kinds == [LocalEngine, RayEngine]
