"""What pretraining buys, at toy size: who is compared with whom, and that runs are kept."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from spacy_llm_tasks.bench import plan, pretraining_gain, recipes
from spacy_llm_tasks.bench.sets import SETS
from spacy_llm_tasks.bench.starts import Start, twin_of, with_twins
from spacy_llm_tasks.cli.bench import app
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.presets import preset
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.weights.checkpoint import load_encoder, save_encoder

from .data import stsb, write_weights
from .test_records import make

COLUMNS = "Anna\tB-PER\nBell\tI-PER\nsang\tO\n\nRain\tO\nfell\tO\nin\tO\nOslo\tB-LOC\n\n" * 6
FILES = {
    "ner/wnut17/train.conll": COLUMNS,
    "ner/wnut17/dev.conll": COLUMNS,
    "textcat/sst2/train.tsv": "".join(f"a {w} song\t{i % 2}\n" for i, w in enumerate("abcdefgh")),
    "textcat/sst2/dev.tsv": "a b song\t1\na c song\t0\n",
    "similarity/stsb/train.tsv": stsb(12),
    "similarity/stsb/dev.tsv": stsb(6),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """An encoder of ours, a published one, and that one with other weights."""
    place = tmp_path_factory.mktemp("encoders")
    published = write_weights(place / "published")
    continued, scratch = place / "continued", place / "scratch"
    shutil.copytree(published, continued)
    checkpoint = load_encoder(published)
    encoder = TransformerEncoder(replace(checkpoint.config, dropout=0.3))
    encoder.load_state_dict({name: 1.1 * tensor for name, tensor in checkpoint.state.items()})
    save_encoder(continued, encoder, family="bert")
    tokenizer = PieceTokenizer.from_folder(published)
    config = preset("encoder", "tiny", n_pieces=tokenizer.n_pieces, width=16, depth=1, n_heads=2)
    save_encoder(scratch, TransformerEncoder(config), family="modernbert")
    tokenizer.to_folder(scratch)
    return {"scratch": scratch, "continued": continued, "published": published}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")
    return folder


def job_of(starts, data, results, **changes):
    options = {
        "weights": data,
        "sets": tuple(replace(SETS[name], updates=2) for name in pretraining_gain.SETS),
        "seeds": (0,),
        "rates": (1e-3,),
    }
    return plan.Job(data=data, results=results, sides=tuple(starts), **{**options, **changes})


def silent(text):
    pass


def test_one_twin_for_each_shape(folders):
    starts = with_twins(folders)
    names = ["random-scratch", "scratch", "random-published", "continued", "published"]
    assert list(starts) == names
    assert [start.is_random for start in starts.values()] == [True, False, True, False, False]
    assert twin_of(starts["continued"], starts) is starts["random-published"]
    assert twin_of(starts["random-scratch"], starts) is None
    assert pretraining_gain.comparisons(starts) == [
        ("scratch", "random-scratch"),
        ("continued", "random-published"),
        ("published", "random-published"),
        ("continued", "published"),
    ]
    alone = with_twins({"scratch": folders["scratch"]})
    assert pretraining_gain.comparisons(alone) == [("scratch", "random-scratch")]


def test_a_twin_has_the_shape_and_the_tokenizer_and_other_weights(folders, tmp_path):
    state = torch.random.get_rng_state()
    for name in ("scratch", "published"):
        twin, found = Start("twin", folders[name], is_random=True), []
        for seed in (5, 5, 6):
            with twin.weights(seed) as place:
                found.append(load_encoder(place))
                tokenizer = PieceTokenizer.from_folder(place).to_bytes()
                found[-1].state.update({k: v.clone() for k, v in found[-1].state.items()})
            assert not place.exists()
        known = load_encoder(folders[name])
        assert found[0].config == known.config and found[0].family == known.family
        assert tokenizer == PieceTokenizer.from_folder(folders[name]).to_bytes()
        key = "embeddings.pieces.weight"
        assert torch.equal(found[0].state[key], found[1].state[key])
        assert not torch.equal(found[0].state[key], found[2].state[key])
        assert not torch.equal(found[0].state[key], known.state[key])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_digests_tell_weights_apart(folders):
    starts = with_twins(folders)
    digests = [start.digest() for start in starts.values()]
    assert len(set(digests)) == 5
    # a twin's hangs on nothing but its shape: either encoder stands for it
    assert Start("x", folders["continued"], is_random=True).digest() == digests[2]


def test_all_starts_are_trained_alike_and_once(folders, data, tmp_path, monkeypatch):
    few = {name: folders[name] for name in ("continued", "published")}
    starts = with_twins(few)
    job = job_of(starts, data, tmp_path / "results")
    runs = []
    real = plan.run_recipe

    def run_recipe(recipe, item, key, **options):
        runs.append((key, recipe.to_dict(), load_encoder(options["weights"]).config.width))
        return real(recipe, item, key, **options)

    monkeypatch.setattr(plan, "run_recipe", run_recipe)
    found = list(pretraining_gain.execute(job, starts, silent))
    assert len(found) == len(runs) == 3 * 3
    by_set, shares = {}, {}
    for key, recipe, _ in runs:
        share = recipe["optimizer"].pop("start_share", 0.0)
        shares.setdefault(key.set, set()).add((starts[key.side].is_random, share > 0.0))
        by_set.setdefault(key.set, []).append(recipe)
    for recipes_ in by_set.values():
        assert all(recipe == recipes_[0] for recipe in recipes_)
    # an end keeps nothing of weights that know nothing
    assert shares["sst2"] == shares["stsb"] == {(True, False), (False, True)}
    for record in found:
        assert record.settings["weights_sha256"] == starts[record.key.side].digest()
        assert record.updates == 2 and record.score == record.scores[SETS[record.key.set].score]
    runs.clear()
    said = []
    again = list(pretraining_gain.execute(job, starts, said.append))
    assert runs == [] and said == []
    assert [r.scores for r in again] == [r.scores for r in found]
    assert len(pretraining_gain.collect(job, starts)) == 9
    # other weights, other results; the other starts keep theirs
    other = dict(few, continued=folders["published"])
    kept = pretraining_gain.collect(job, with_twins(other))
    assert {record.key.side for record in kept} == set(starts) - {"continued"}
    table = pretraining_gain.render(found, job.sets, starts, seeds=job.seeds, rates=job.rates)
    for name in starts:
        assert f"| {name} |" in table
    assert "| continued over published |" in table and "not tuned" in table


def test_what_is_shown(folders):
    starts = with_twins(folders)
    scores = {
        "random-scratch": 0.10,
        "scratch": 0.30,
        "random-published": 0.12,
        "continued": 0.505,
        "published": 0.50,
    }
    found = [
        make(name, "sst2", rate=rate, score=score - (rate == 2e-4) * 0.05)
        for name, score in scores.items()
        for rate in (1e-4, 2e-4)
    ]
    table = pretraining_gain.render(
        found, [SETS["sst2"], SETS["stsb"]], starts, seeds=(0, 1), rates=(1e-4, 2e-4)
    )
    for line in (
        "| start | sst2 accuracy | stsb sim_spearman |",
        "| scratch | 0.3000 at 0.0001 | - |",
        "| scratch over random-scratch | +20.0 points, ahead | - |",
        "| published over random-published | +38.0 points, ahead | - |",
        "| continued over published | +0.5 points, tie | - |",
    ):
        assert line in table.splitlines()
    assert "sst2 651, stsb 720" in table and "sst2 1, stsb 2" in table
    assert "0.0001, 0.0002 (but stsb (5e-05, 0.0001))" in table


def test_the_command(folders, data, tmp_path):
    arguments = ["pretraining-gain", "--data", data, "--results", tmp_path, "--sets", "sst2"]
    arguments += ["--updates", "1", "--rates", "1e-3", "--scratch", folders["scratch"]]
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert "| scratch over random-scratch |" in result.stdout
    assert len(list(tmp_path.glob("*.json"))) == 2
    shown = CliRunner().invoke(app, [*map(str, arguments), "--show", "--format", "json"])
    assert [row["key"]["side"] for row in json.loads(shown.stdout)] == ["random-scratch", "scratch"]
    bare = CliRunner().invoke(app, ["pretraining-gain", "--data", str(data)])
    assert bare.exit_code == 1 and "[E587]" in bare.output and "--published" in bare.output
    wrong = [*map(str, arguments[:-1]), str(tmp_path)]
    refused = CliRunner().invoke(app, wrong)
    assert refused.exit_code == 1 and "[E111]" in refused.output


def test_the_recipes_are_those_of_the_accuracy_benchmark(folders):
    item, start = SETS["stsb"], Start("scratch", folders["scratch"])
    key = make("scratch", item.name).key
    ours = recipes.build("ours", item.task, learn_rate=key.learn_rate, updates=item.updates)
    recipe = pretraining_gain.recipe_of(item, key, start)
    found = plan.settings(item, key, recipe, "digest")
    assert {name: found[name] for name in ours.to_dict()} == ours.to_dict()
    assert found["weights_sha256"] == "digest"
