"""The plan, run for real on a tiny stock pipeline in place of the two sides."""

import json
from dataclasses import replace

import pytest

from spacy_llm_tasks.bench import plan, recipes, records, sets
from spacy_llm_tasks.bench.records import RunKey

from .test_records import make

COLUMNS = "Anna\tB-PER\nBell\tI-PER\nsang\tO\n\nRain\tO\nfell\tO\nin\tO\nOslo\tB-LOC\n\n" * 6
LABELS = "".join(f"{i % 2} {['where', 'who'][i % 2]} is number {i}\n" for i in range(40))


SETS = ("wnut17", "bc5cdr", "trec")


def tiny(task, learn_rate, updates, options):
    recipe = recipes.peer(task, learn_rate, updates, options)
    tok2vec = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": 8,
        "depth": 1,
        "embed_size": 50,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": False,
    }
    head = {**recipe.components[task]}
    head["model"] = {**head["model"], "tok2vec": tok2vec}
    if task == "textcat":
        head["model"]["linear_model"] = {**head["model"]["linear_model"], "length": 1024}
    return replace(recipe, components={task: head})


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "SIDES", {"peer": tiny})
    small = {name: replace(sets.SETS[name], updates=3) for name in SETS}
    for item in small.values():
        for name in (item.train, item.dev):
            if name:
                path = tmp_path / "data" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(COLUMNS if item.task == "ner" else LABELS)
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"stands for weights")
    return plan.Job(
        data=tmp_path / "data",
        weights=weights,
        results=tmp_path / "results",
        sides=("peer",),
        sets=tuple(small.values()),
        seeds=(0, 1),
        rates=(1e-3, 1e-2),
    )


def asked(job, score_of):
    """The runs that a job asks for, as (set, seed, rate), when a run's score is `score_of(key)`."""
    keys = []

    def get(item, key):
        score = score_of(key)
        if score is not None:
            keys.append((key.set, key.seed, key.learn_rate))
            return make(key.side, key.set, key.seed, key.learn_rate, score)

    list(plan.walk(job, get))
    return keys


def test_grid_first_then_the_other_seeds_at_the_best_rate(job):
    assert asked(job, lambda key: -key.learn_rate) == [
        ("wnut17", 0, 1e-3),
        ("wnut17", 0, 1e-2),
        ("wnut17", 1, 1e-3),
        ("bc5cdr", 0, 1e-3),
        ("bc5cdr", 0, 1e-2),
        # Each of its seeds holds out a part of its own: several of them decide.
        *(("trec", seed, rate) for rate in (1e-3, 1e-2) for seed in (0, 1)),
    ]


def test_parts_that_rates_are_not_compared_on_come_last(job):
    item = replace(sets.SETS["trec"], n_seeds=4, n_tuned=2)
    only = replace(job, sets=(item,), seeds=(0, 1, 2, 3, 4))
    assert asked(only, lambda key: -key.learn_rate) == [
        *(("trec", seed, rate) for rate in (1e-3, 1e-2) for seed in (0, 1)),
        *(("trec", seed, 1e-3) for seed in (2, 3)),
    ]


def test_doubles_the_rate_as_long_as_the_highest_is_the_best(job):
    only = replace(job, sets=tuple(item for item in job.sets if item.name == "trec"))
    peaks = {"trec": 0.04}
    climbed = asked(only, lambda key: -abs(key.learn_rate - peaks[key.set]))
    assert climbed == [
        ("trec", seed, rate) for rate in (1e-3, 1e-2, 2e-2, 4e-2, 8e-2) for seed in (0, 1)
    ]


def test_a_tie_at_the_top_is_not_climbed(job):
    only = replace(job, sets=tuple(item for item in job.sets if item.name == "bc5cdr"))
    assert asked(only, lambda key: 0.5) == [("bc5cdr", 0, 1e-3), ("bc5cdr", 0, 1e-2)]


def test_a_grid_with_holes_is_not_climbed(job):
    only = replace(job, sets=tuple(item for item in job.sets if item.name == "bc5cdr"))
    there = asked(only, lambda key: None if key.learn_rate == 1e-3 else 0.5)
    assert there == [("bc5cdr", 0, 1e-2)]


def test_a_single_rate_is_used_as_it_is(job):
    only = replace(job, sets=job.sets[:1], rates=(1e-3,))
    assert asked(only, lambda key: 0.5) == [("wnut17", 0, 1e-3), ("wnut17", 1, 1e-3)]


def test_runs_are_kept_and_a_second_call_trains_nothing(job):
    said = []
    first = list(plan.execute(job, said.append))
    assert len(first) == len({record.key for record in first}) >= 8
    assert len(list(job.results.iterdir())) == len(first)
    assert all(0.0 <= record.score <= 1.0 and record.updates == 3 for record in first)
    body = json.loads((job.results / "peer-trec-seed0-lr0.001.json").read_text())
    assert body["scores"]["accuracy"] == body["score"]
    assert body["about"]["train_docs"] == 36 and body["about"]["dev_docs"] == 4
    assert body["seconds"]["train_wall"] > 0 and "spacy" in body["about"]["versions"]
    assert str(job.weights) not in json.dumps(body)
    trec = {record.key.seed: record for record in first if record.key.set == "trec"}
    assert "held_out" not in trec[0].settings and trec[1].settings["held_out"] == 1

    said.clear()
    assert list(plan.execute(job, said.append)) == first
    assert said == []
    assert plan.collect(job) == first


def test_resumes_where_it_was_stopped_and_repeats_to_the_same_score(job):
    first = list(plan.execute(job, lambda line: None))
    lost = first[-1]
    (job.results / lost.key.file_name).unlink()
    said = []
    again = list(plan.execute(job, said.append))
    assert [record.scores for record in again] == [record.scores for record in first]
    assert all(lost.key.file_name in line for line in said) and said


def test_other_settings_are_trained_again(job):
    item = job.sets[0]
    key = RunKey("peer", item.name, job.seeds[0], job.rates[0])
    old = records.Record(key, 1.0, {"ents_f": 1.0}, 3, {"train_cpu": 1.0}, {"dropout": 0.9}, {})
    records.save(job.results, old)
    assert plan.collect(job) == []
    assert next(plan.execute(job, lambda line: None)).settings["dropout"] == 0.1


def test_a_set_keeps_to_its_own_rate_unless_a_single_one_is_asked_for(job):
    item = replace(job.sets[0], rates=(5e-3,), n_seeds=2)
    only = replace(job, sets=(item,))
    assert asked(only, lambda key: 0.5) == [("wnut17", 0, 5e-3), ("wnut17", 1, 5e-3)]
    single = replace(only, rates=(1e-3,))
    assert asked(single, lambda key: 0.5) == [("wnut17", 0, 1e-3), ("wnut17", 1, 1e-3)]


def test_options_of_ours_are_no_set_of_the_peer(job):
    item = replace(sets.SETS["semeval-markers"], n_seeds=1)
    both = replace(job, sides=("ours", "peer"), sets=(item,), rates=(1e-3,))
    sides = [record.key.side for record in plan.walk(both, lambda item, key: make(key.side))]
    assert sides == ["ours"]


@pytest.fixture
def scripted(job):
    """A result of a script, on a set whose peer is no recipe."""
    item = replace(sets.SETS["stsb"], n_seeds=1)
    digest = records.fingerprint(job.weights)
    settings = {**plan.budget(item, digest), "library": "another", "scale": 20.0}
    key = RunKey("peer", "stsb", 0, 1e-3)
    seconds = {"train_cpu": 1.0}
    return item, records.Record(key, 0.9, {"sim_spearman": 0.9}, 720, seconds, settings, {})


def test_results_of_scripts_are_found_by_their_budget(job, scripted):
    item, record = scripted
    only = replace(job, sets=(item,), rates=(1e-3,))
    assert plan.collect(only) == []
    records.save(job.results, record)
    assert plan.collect(only) == [record]
    for other in (replace(item, updates=721), replace(item, batch_docs=8)):
        assert plan.collect(replace(only, sets=(other,))) == []
    (job.weights / "model.safetensors").write_bytes(b"stands for others")
    assert plan.collect(only) == []


def test_results_of_scripts_are_not_made_here(job, scripted):
    item, record = scripted
    only = replace(job, sets=(item,), rates=(1e-3,))
    said = []
    assert list(plan.execute(only, said.append)) == []
    assert len(said) == 1 and "benchmarks/peers.py" in said[0]
    records.save(job.results, record)
    assert list(plan.execute(only, said.append)) == [record]


def test_a_result_older_than_an_argument_is_found(job):
    item = replace(sets.SETS["wnut17"], n_seeds=1)
    key = RunKey("ours", "wnut17", 0, 1e-3)
    digest = records.fingerprint(job.weights)

    def find_after(**changes):
        settings = json.loads(
            json.dumps(plan.settings(item, key, plan.recipe_of(item, key), digest))
        )
        model = settings["components"]["trf_ner"]["model"]
        for name, value in changes.items():
            if value is None:
                del model["tok2vec"][name]
            else:
                model["tok2vec"][name] = value
        records.save(job.results, records.Record(key, 0.5, {"ents_f": 0.5}, 3, {}, settings, {}))
        return plan.find(job, item, key, digest)

    recipes.SIDES["ours"] = recipes.ours
    assert find_after() is not None
    assert find_after(grad_factor=None) is not None
    assert find_after(grad_factor=0.5) is None
    assert find_after(no_longer_there=1) is None


def test_missing_data_is_named(job):
    (job.data / "ner/wnut17/dev.conll").unlink()
    with pytest.raises(ValueError, match=r"E581.*dev\.conll"):
        list(plan.execute(job, lambda line: None))
    assert not list(job.results.glob("*"))


def test_unknown_side_and_task_are_named():
    with pytest.raises(ValueError, match="E583.*theirs"):
        recipes.build("theirs", "ner", learn_rate=1e-4, updates=1)
    with pytest.raises(ValueError, match="E584.*pos"):
        recipes.build("peer", "pos", learn_rate=1e-4, updates=1)
    with pytest.raises(ValueError, match="E590.*similarity.*peers.py"):
        recipes.build("peer", "similarity", learn_rate=1e-4, updates=1)
