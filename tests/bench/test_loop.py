from itertools import islice
from pathlib import Path

import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import load_config
from spacy.vocab import Vocab

from spacy_llm_tasks import configs
from spacy_llm_tasks.bench import loop, recipes
from spacy_llm_tasks.bench.sets import SETS


def test_batches_are_the_same_for_a_seed_and_differ_between_epochs():
    def make(seed):
        return list(loop.batches(10, size=4, updates=7, seed=seed))

    made = make(0)
    assert made == make(0) != make(1)
    assert [len(batch) for batch in made] == [4, 4, 2, 4, 4, 2, 4]
    first, second = sum(made[:3], []), sum(made[3:6], [])
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_a_longer_run_starts_like_a_shorter_one():
    short = loop.batches(50, size=8, updates=5, seed=2)
    assert list(islice(loop.batches(50, size=8, updates=9, seed=2), 5)) == list(short)


@pytest.mark.parametrize("side", ["ours", "peer"])
def test_schedule_warms_up_over_a_tenth_and_ends_at_zero(side):
    optimizer = recipes.build(side, "ner", learn_rate=2e-4, updates=100).build_optimizer()
    scale = getattr(optimizer, "encoder_scale", 1.0)
    rates = []  # of the encoder
    for _ in range(101):
        rates.append(optimizer.learn_rate * scale)
        optimizer.step_schedules()
    assert rates[0] == 0.0 and rates[100] == 0.0
    assert rates[10] == max(rates) == pytest.approx(2e-4)
    assert rates[5] == pytest.approx(1e-4) and rates[55] == pytest.approx(1e-4)
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)


def test_settings_of_ours_name_every_default():
    recipe = recipes.build("ours", "ner", learn_rate=2e-4, updates=100)
    assert recipe.components["trf_ner"]["model"]["dropout"] == 0.1
    assert recipe.initialize == {"transformer": {"weights": recipes.WEIGHTS}}
    nlp = recipe.pipeline("some/folder")
    assert nlp.config["initialize"]["components"]["transformer"]["weights"] == "some/folder"


def test_both_sides_have_one_schedule_and_equal_decay():
    ours, peer = (
        recipes.build(side, "textcat", learn_rate=1e-4, updates=50).optimizer
        for side in ("ours", "peer")
    )
    rates = {"initial_rate": peer["learn_rate"]["initial_rate"] / ours["encoder_scale"]}
    assert ours["learn_rate"] == {**peer["learn_rate"], **rates}
    assert ours["weight_decay"] == peer["L2"]


@pytest.mark.parametrize("task", recipes.OUR_HEADS)
def test_weights_are_averaged_as_in_the_shipped_configs(task):
    shipped = load_config(Path(configs.__file__).parent / f"{task}.cfg")["training"]["optimizer"]
    optimizer = recipes.build("ours", task, learn_rate=1e-4, updates=50).build_optimizer()
    assert optimizer.average_decay == shipped["average_decay"]
    assert optimizer.start_share == shipped["start_share"]


def entities(vocab, *spans):
    doc = Doc(vocab, words=["a"] * 6)
    doc.set_ents([Span(doc, start, end, label=label) for start, end, label in spans])
    return doc


def test_entities_need_exact_bounds_and_type():
    vocab = Vocab()
    gold = entities(vocab, (0, 2, "X"), (3, 4, "Y"))
    pairs = [
        Example(entities(vocab, (0, 2, "X"), (3, 4, "Y")), gold),
        Example(entities(vocab, (0, 1, "X"), (3, 4, "X")), gold),
    ]
    found = loop.score(None, pairs, SETS["wnut17"])
    assert found == {"ents_p": 0.5, "ents_r": 0.5, "ents_f": 0.5}


def test_first_documents_are_scored_apart():
    vocab = Vocab()
    gold = entities(vocab, (0, 2, "X"))
    right, wrong = entities(vocab, (0, 2, "X")), entities(vocab)
    pairs = [Example(right, gold)] * 1200 + [Example(wrong, gold)] * 1200
    found = loop.score(None, pairs, SETS["bc5cdr"])
    assert found["ents_f_first_1200"] == 1.0
    assert found["ents_r"] == 0.5


def test_no_entities_anywhere_scores_zero():
    vocab = Vocab()
    pairs = [Example(entities(vocab), entities(vocab))]
    assert loop.score(None, pairs, SETS["wnut17"])["ents_f"] == 0.0


def test_accuracy_counts_the_highest_category():
    vocab = Vocab()
    pairs = []
    for predicted, gold in [(0.9, 1.0), (0.4, 1.0), (0.2, 0.0)]:
        docs = Doc(vocab, words=["a"]), Doc(vocab, words=["a"])
        for doc, value in zip(docs, (predicted, gold), strict=True):
            doc.cats = {"yes": value, "no": 1.0 - value}
        pairs.append(Example(*docs))
    assert loop.score(None, pairs, SETS["sst2"]) == {"accuracy": pytest.approx(2 / 3)}
