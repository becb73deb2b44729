"""Speed and loss of pretraining, ours and plain: the work counted, the processes, the sides."""

import json
import os
import random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from spacy_llm_tasks.bench import (
    masked_runs,
    peak,
    plain_lm,
    pretraining,
    pretraining_loss,
    pretraining_sides,
    workers,
)
from spacy_llm_tasks.bench.masked_runs import PlainRecipe, Score
from spacy_llm_tasks.bench.material import prepare_material
from spacy_llm_tasks.bench.pretraining_sides import SIDES, Job, OurSteps, PlainSteps
from spacy_llm_tasks.bench.workers import Reading, Worker
from spacy_llm_tasks.cli.bench import app
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.presets import preset
from spacy_llm_tasks.pretraining.feed import Feed
from spacy_llm_tasks.pretraining.model import PretrainingModel
from spacy_llm_tasks.pretraining.objectives.masked import MaskedLM
from spacy_llm_tasks.pretraining.pieces.chunks import ChunkIndex, ChunkSampler
from spacy_llm_tasks.pretraining.trunk import Trunk, write_trunk
from spacy_llm_tasks.tokenization.tokenizer import PieceTokenizer

from .counters import make_counter

VOCABULARY = 380
SIZE, LENGTH, BATCH = "tiny", 16, 4


def silent(text):
    pass


def sentence(rng):
    who = rng.choice(["the miller", "a ferryman", "old Marta", "the youngest clerk", "her aunt"])
    what = rng.choice(["mends", "sells", "forgets", "paints", "carries home", "borrows"])
    thing = rng.choice(["a kettle", "the lantern", "two ladders", "an anchor", "the brass key"])
    when = rng.choice(["before noon", "when it rains", "every spring", "without a word"])
    return f"{who} {what} {thing} {when}.".capitalize()


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    rng = random.Random(0)
    texts = tmp_path_factory.mktemp("texts")
    lines = [" ".join(sentence(rng) for _ in range(rng.randrange(1, 30))) for _ in range(150)]
    rows = "".join(json.dumps({"text": line}) + "\n" for line in lines)
    (texts / "texts.jsonl").write_text(rows, encoding="utf8")
    folder = tmp_path_factory.mktemp("material")
    made = prepare_material(folder, [str(texts)], vocabulary=VOCABULARY, say=silent)
    return made, [str(texts)]


@pytest.fixture
def in_process(monkeypatch):
    """Workers without processes, and an allocator that is left alone. RETURNS: Their names."""
    names = []

    class Here:
        def __init__(self, name, make, *arguments):
            names.append(name)
            self.work = make(*arguments)

        def __call__(self, n):
            return Reading(2.0, 1.0, self.work(n))

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    for module in (pretraining, pretraining_loss):
        monkeypatch.setattr(module, "Worker", Here)
    for module in (pretraining_sides, masked_runs, peak):
        monkeypatch.setattr(module, "keep_memory", lambda: True)
    monkeypatch.setattr(peak, "SIDE", 64)
    return names


# Processes


def test_a_worker_counts_in_a_process_of_its_own(capfd):
    with Worker("counter", make_counter, 5) as worker:
        first, second = worker(1), worker(2)
        assert [first.found["sum"], second.found["sum"]] == [6, 7]
        assert first.found["process"] == second.found["process"] != os.getpid()
        assert first.wall > 0 and first.cpu >= 0
        with pytest.raises(ValueError, match=r"E591.*'counter'.*KeyError.*thirteen"):
            worker(13)
        with pytest.raises(ValueError, match="E591"):
            worker(1)  # it is gone
    assert "thirteen" in capfd.readouterr().err  # with its traceback


def test_a_worker_that_dies_or_is_never_made(capfd):
    with Worker("counter", make_counter, 5) as worker:
        with pytest.raises(ValueError, match=r"E591.*ended with code 7"):
            worker(99)
    with pytest.raises(ValueError, match=r"E591.*below zero"):
        Worker("counter", make_counter, -1)


def test_leaving_a_worker_ends_its_process():
    with Worker("counter", make_counter, 5) as worker:
        process = worker._process
        assert process.is_alive()
    assert process.exitcode == 0


# What is read


def test_material_is_made_once(material, monkeypatch):
    made, paths = material
    before = {p: p.stat().st_mtime_ns for p in made.folder.rglob("*") if p.is_file()}
    again = prepare_material(made.folder, paths, vocabulary=VOCABULARY, say=silent)
    assert again.about() == made.about()
    assert {p: p.stat().st_mtime_ns for p in made.folder.rglob("*") if p.is_file()} == before
    other = prepare_material(made.folder, paths, vocabulary=VOCABULARY - 20, say=silent)
    assert other.about()["vocabulary"] == VOCABULARY - 20
    prepare_material(made.folder, paths, vocabulary=VOCABULARY, say=silent)


def test_blocks_are_full_and_hold_the_text_in_its_order(material):
    made, _ = material
    store, special = made.pieces("train"), made.special
    blocks = plain_lm.blocks_of(store, special, length=LENGTH)
    assert blocks.shape[1] == LENGTH
    assert (blocks[:, 0] == special.cls).all() and (blocks[:, -1] == special.sep).all()
    read = blocks[:, 1:-1].flatten().tolist()
    expected = []
    for i in range(store.n_documents):
        expected += [*store.document(i)[0].tolist(), special.sep]
    assert read == expected[: len(read)] and len(expected) - len(read) < LENGTH - 2


# The sides


def plain_training(made, **settings):
    model = plain_lm.plain_model(
        SIZE, n_pieces=made.special.n_pieces, length=LENGTH, dropout=0.0, pad=made.special.pad
    )
    blocks = plain_lm.blocks_of(made.pieces("train"), made.special, length=LENGTH)
    options = {"tokenizer": made.tokenizer, "batch": BATCH, "learn_rate": 1e-3, **settings}
    return plain_lm.PlainTraining(model, blocks, **options)


def test_the_collator_hides_text_alone(material):
    made, _ = material
    training = plain_training(made)
    hidden = total = masks = 0
    for _ in range(60):
        inputs = training._next()
        chosen = inputs["labels"] != -100
        original = torch.where(chosen, inputs["labels"], inputs["input_ids"])
        assert (original[:, 0] == made.special.cls).all() and not chosen[:, 0].any()
        special = torch.isin(original, torch.from_numpy(made.special.ids))
        assert not (chosen & special).any()
        hidden, total = hidden + int(chosen.sum()), total + int((~special).sum())
        masks += int((inputs["input_ids"] == made.special.mask).sum())
    assert hidden / total == pytest.approx(0.15, abs=0.02)
    assert masks / hidden == pytest.approx(0.8, abs=0.06)


def test_an_epoch_reads_every_block_once(material):
    made, _ = material
    training = plain_training(made, batch=2)
    training._collate = lambda examples: {"rows": [tuple(e["input_ids"]) for e in examples]}
    n = len(training.blocks) // 2
    read = [row for _ in range(n) for row in training._next()["rows"]]
    assert len(read) == 2 * n
    left = [tuple(row) for row in training.blocks.tolist()]
    for row in read:
        left.remove(row)
    assert len(left) == len(training.blocks) % 2


def test_plain_decay_spares_norms_and_biases(material):
    made, _ = material
    training = plain_training(made, weight_decay=0.3)
    decay = {
        id(p): group["weight_decay"]
        for group in training.optimizer.param_groups
        for p in group["params"]
    }
    for name, parameter in training.model.named_parameters():
        spared = parameter.dim() == 1
        assert decay[id(parameter)] == (0.0 if spared else 0.3), name


@pytest.mark.parametrize("bf16", [False, True])
def test_plain_steps_learn(material, bf16):
    made, _ = material
    torch.manual_seed(0)
    training = plain_training(made, bf16=bf16, fused=bf16, learn_rate=3e-3)
    losses = [training.step() for _ in range(40)]
    assert sum(losses[-8:]) < sum(losses[:8]) - 8
    rates = {group["lr"] for group in training.optimizer.param_groups}
    training.step(0.5)
    assert rates == {3e-3}
    assert {group["lr"] for group in training.optimizer.param_groups} == {1.5e-3}


@pytest.mark.parametrize("side", ["ours-fp32", "ours-bf16", "ours-muon", "plain", "plain-tuned"])
def test_steps_of_every_side(material, side, in_process, tmp_path):
    made, _ = material
    job = Job(made.folder, size=SIZE, length=LENGTH, batch=BATCH)
    make, arguments = pretraining_sides.work_of(side, job, tmp_path)
    steps = make(*arguments)
    first = steps(2)
    assert first["pieces"] == 2 * BATCH * LENGTH
    assert steps(25)["loss"] < first["loss"] - 0.5
    if isinstance(steps, OurSteps):
        assert steps.update.precision.name == SIDES[side].precision
        kinds = {type(o).__name__ for o in steps.update.optimizer.optimizers}
        assert kinds == ({"Muon", "AdamW"} if side == "ours-muon" else {"AdamW"})
    else:
        assert isinstance(steps, PlainSteps)


def test_both_models_are_of_one_size(material, in_process, tmp_path):
    made, _ = material
    found = []
    for side in ("plain", "ours-fp32"):
        job = Job(made.folder, size="mini", length=LENGTH, batch=1)
        make, arguments = pretraining_sides.work_of(side, job, tmp_path)
        found.append(make(*arguments).n_parameters)
    assert found[0] == pytest.approx(found[1], rel=0.03)


# What is counted


def test_flops_are_those_of_a_bert():
    from transformers import BertConfig, BertForMaskedLM

    depth, width = 4, 128  # "tiny"
    config = BertConfig(
        vocab_size=50,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=2,
        intermediate_size=4 * width,
        attn_implementation="eager",
    )
    ids = torch.arange(24).view(2, 12)
    with FlopCounterMode(display=False) as counter:
        BertForMaskedLM(config)(input_ids=ids, labels=ids).loss.backward()
    counted = 24 * peak.training_flops("tiny", n_pieces=50, length=12, rate=1.0)
    assert counted == counter.get_total_flops()


def test_peak_says_what_it_has_done(in_process):
    found = peak.MatmulPeak(1)(3)
    assert found["flops"] == 3 * peak.PRODUCTS * 2 * 64**3
    assert found["kernel"] in ("onednn", "plain")


def reading(wall, cpu, pieces=100):
    return Reading(wall, cpu, {"pieces": pieces, "loss": 5.0, "n_parameters": 1_000_000})


def test_ratios_are_of_the_median_cpu_second():
    readings = {
        "plain": [reading(4.0, 2.0), reading(40.0, 2.0), reading(4.0, 20.0)],
        "plain-tuned": [reading(2.0, 1.0)] * 3,
        "ours-bf16": [reading(1.0, 0.5)] * 3,
    }
    plain, tuned, ours = pretraining.compare(readings, flops=8.0, peak=3200.0)
    assert (plain.pieces_per_s, plain.pieces_per_cpu_s) == (25.0, 50.0)
    assert (plain.ratio, tuned.ratio, ours.ratio) == (1.0, 2.0, 4.0)
    assert (plain.ratio_tuned, ours.ratio_tuned) == (0.5, 2.0)
    assert ours.peak_share == 200 * 8.0 / 3200
    alone = pretraining.compare({"ours-bf16": readings["ours-bf16"]}, flops=8.0, peak=3200.0)[0]
    assert alone.ratio is None and alone.ratio_tuned is None


def test_report_and_table(material, in_process):
    made, _ = material
    job = Job(made.folder, size=SIZE, length=LENGTH, batch=BATCH)
    found = pretraining.report(job, ["plain", "ours-bf16"], rounds=2, steps=1)
    assert in_process == ["plain", "ours-bf16", "peak"]
    rows = json.loads(json.dumps(found))["results"]
    assert [row["side"] for row in rows] == ["plain", "ours-bf16"]
    # every turn takes one second of CPU here
    assert [row["pieces_per_cpu_s"] for row in rows] == [BATCH * LENGTH] * 2
    assert found["peak_gflops"] == round(peak.PRODUCTS * 2 * 64**3 / 1e9, 1)
    assert found["text"]["train_sha256"] and found["machine"]
    text = pretraining.render(found)
    assert "| ours-bf16 |" in text and "2 interleaved rounds" in text


def test_unknown_sides_are_refused_before_anything_starts(tmp_path):
    with pytest.raises(ValueError, match="E583.*theirs.*ours-bf16"):
        pretraining.report(Job(tmp_path), ["theirs"], rounds=1, steps=1)


# Runs by the clock


def loss_job(material, results, **settings):
    made, paths = material
    options = {"minutes": 0.01, "size": SIZE, "length": LENGTH, "batch": BATCH, **settings}
    return pretraining_loss.Job(made.folder, tuple(paths), results, **options)


def test_the_judge_reads_our_model_as_we_do(material, tmp_path):
    made, _ = material
    special = made.special
    torch.manual_seed(3)
    config = preset("encoder", SIZE, n_pieces=special.n_pieces, init_std=0.3)
    objective = MaskedLM(rate=0.15, replacements="mask")
    model = PretrainingModel(TransformerEncoder(config), [objective]).eval()
    tokenizer = PieceTokenizer.from_folder(made.tokenizer)
    trunk = Trunk(model.trunk, "encoder", "modernbert")
    write_trunk(tmp_path, trunk, head=model.heads["masked"], special=tokenizer.special)
    judge = Score(tmp_path, made, LENGTH, 1)
    index = ChunkIndex(made.pieces("held_out"), length=LENGTH, min_pieces=8)
    feed = Feed(
        ChunkSampler(index, batch_pieces=4096, seed=0), {"masked": objective}, special, seed=0
    )
    prepared = feed.prepare("masked", 0, progress=1.0)
    assert len(set(prepared.lengths.tolist())) > 1  # some need padding there
    with torch.no_grad():
        hidden = model.trunk(prepared.pieces, prepared.packing).last[prepared.target_rows]
        ours = model.heads["masked"](hidden, model.trunk.embeddings.pieces.weight)
        losses = model("masked", prepared)
    torch.testing.assert_close(judge.logits(prepared), ours, atol=1e-3, rtol=1e-4)
    found = judge(1)
    assert feed.sampler.n_batches == 1 and found["predictions"] == losses.count
    assert found["loss"] == pytest.approx(float(losses.total) / losses.count, abs=1e-4)
    assert found["perplexity"] == pytest.approx(2.718281828 ** found["loss"], rel=1e-4)
    assert judge(3)["predictions"] == 3 * losses.count


def test_runs_of_both_sides_are_kept_and_not_repeated(material, tmp_path, in_process):
    job = loss_job(material, tmp_path, rates=(1e-3,))
    records = list(pretraining_loss.execute(job, silent))
    assert [record.key.side for record in records] == ["ours", "plain"]
    for record in records:
        assert record.updates > 1 and record.about["pieces"] > record.updates
        assert 0 < record.seconds["wall"] < 5 and record.seconds["cpu"] > 0
        assert record.score == record.scores["loss"] < 7
        assert record.settings["text"] == material[0].about()
    assert not list(material[0].folder.glob("run-*"))
    in_process.clear()
    lines = []
    again = list(pretraining_loss.execute(job, lines.append))
    assert in_process == [] and all("there already" in line for line in lines)
    assert [record.scores for record in again] == [record.scores for record in records]
    assert len(pretraining_loss.collect(job)) == 2
    longer = loss_job(material, tmp_path, rates=(1e-3,), dropout=0.2)
    assert [r.key.side for r in pretraining_loss.collect(longer)] == ["ours"]  # ours has none
    table = pretraining_loss.render(again)
    assert "| ours | 0.003 |" in table and "| plain | 0.001 |" in table and "best" in table


def fake_record(key, loss):
    scores = {"loss": loss}
    return pretraining_loss.Record(key, loss, scores, 1, {"wall": 1.0, "cpu": 1.0}, {}, {})


@pytest.mark.parametrize(
    "rates,best,tried",
    [
        ((5e-4, 1e-3), 5e-4, [5e-4, 1e-3]),
        ((5e-4, 1e-3), 4e-3, [5e-4, 1e-3, 2e-3, 4e-3, 8e-3]),
        ((1e-3, 5e-4), 1e-3, [1e-3, 5e-4, 2e-3]),
        ((1e-3,), 4e-3, [1e-3]),
    ],
)
def test_the_plain_grid_goes_on_while_its_end_is_best(material, tmp_path, rates, best, tried):
    job = loss_job(material, tmp_path, rates=rates, sides=("plain",))

    def get(key, settings):
        assert settings["recipe"]["learn_rate"] == key.learn_rate
        return fake_record(key, abs(key.learn_rate - best))

    found = list(pretraining_loss.walk(job, get))
    assert [record.key.learn_rate for record in found] == tried
    assert pretraining_loss.best_of(found).key.learn_rate == min(
        tried, key=lambda rate: abs(rate - best)
    )


def test_a_grid_with_gaps_is_not_extended(material, tmp_path):
    job = loss_job(material, tmp_path, sides=("plain",))
    found = list(
        pretraining_loss.walk(
            job, lambda key, settings: fake_record(key, 1.0) if key.learn_rate == 1e-3 else None
        )
    )
    assert [record.key.learn_rate for record in found] == [1e-3]


def test_our_run_is_the_shipped_recipe(material, tmp_path):
    job = loss_job(material, tmp_path, minutes=2.0, seed=4)
    settings = job.recipe()
    assert settings.training.max_minutes == 2.0 and settings.training.seed == 4
    assert settings.optimizer.name == "muon" and settings.objectives["masked"]["rate"] == 0.3
    assert settings.data.length == LENGTH - 2 and settings.data.batch_pieces == BATCH * LENGTH
    kept = job.settings("ours", 3e-3)
    assert "corpus" not in kept["recipe"] and str(material[0].folder) not in json.dumps(kept)


def test_the_clock_counts_between_steps():
    clock = masked_runs.StepClock()
    assert clock.tick() is False
    sum(i * i for i in range(200_000))
    clock.tick()
    seconds = clock.seconds
    assert seconds["wall"] > 0.001 and seconds["cpu"] > 0.001


def test_plain_recipe_is_bert_s():
    assert PlainRecipe(SIZE, LENGTH, BATCH, 1e-3).dropout == 0.1


# The commands


def call(*args):
    return CliRunner().invoke(app, list(map(str, args)))


def test_speed_command(material, in_process):
    made, paths = material
    options = ["--corpus", paths[0], "--cache", made.folder, "--vocabulary", VOCABULARY]
    shape = ["--size", SIZE, "--length", LENGTH, "--batch", BATCH, "--rounds", 1, "--steps", 1]
    result = call("pretraining", *options, *shape, "--sides", "ours-fp32", "--format", "json")
    assert result.exit_code == 0, result.output
    assert [row["side"] for row in json.loads(result.stdout)["results"]] == ["ours-fp32"]


def test_loss_command_shows_what_is_there(material, tmp_path):
    made, paths = material
    options = ["--corpus", paths[0], "--cache", made.folder, "--vocabulary", VOCABULARY]
    result = call("pretraining-loss", *options, "--results", tmp_path / "none", "--show")
    assert result.exit_code == 0 and result.stdout.strip() == "No results yet."


@pytest.mark.parametrize(
    "args,code",
    [
        (("pretraining", "--sides", "theirs"), "E583"),
        (("pretraining-loss", "--sides", "theirs"), "E583"),
        (("pretraining-loss", "--rates", "fast"), "E587"),
    ],
)
def test_bad_options_end_in_one_message(args, code):
    result = call(*args)
    assert result.exit_code == 1 and code in result.output
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_a_measurement_in_real_processes(material):
    made, _ = material
    job = Job(made.folder, size=SIZE, length=LENGTH, batch=BATCH)
    found = pretraining.report(job, ["plain", "ours-bf16"], rounds=1, steps=1)
    assert [row["side"] for row in found["results"]] == ["plain", "ours-bf16"]
    assert all(row["pieces_per_s"] > 0 for row in found["results"])
    assert workers.SECONDS_TO_LEAVE > 0
