"""Sets of relations, similarity and questions: read, and trained end to end on toy data."""

from dataclasses import replace

import pytest
import spacy

from spacy_llm_tasks.annotations import get_pair, get_questions, get_relations
from spacy_llm_tasks.bench import plan, recipes
from spacy_llm_tasks.bench.sets import SETS

from . import data

NEW = [name for name, item in SETS.items() if item.task not in ("ner", "textcat")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return data.write_all(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return data.write_weights(tmp_path_factory.mktemp("weights"))


def read(name, folder):
    return SETS[name].read(folder, spacy.blank("en"), seed=0)


def test_these_are_all():
    assert NEW == [
        *("semeval", "semeval-markers", "conll04", "conll04-markers"),
        *("stsb", "squad1", "squad1-deferred", "squad2"),
    ]


def test_semeval_is_held_out_by_number(folder):
    train, dev = read("semeval", folder)
    assert (len(train), len(dev)) == (27, 3)
    (relation,) = get_relations(dev[0])  # of number 10
    found = (relation.head.text, relation.label, relation.tail.text)
    assert found == ("garden", "Cause-Effect", "kettle")


def test_conll04_has_entities_and_relations(folder):
    train, dev = read("conll04", folder)
    assert (len(train), len(dev)) == (12, 4)
    assert [ent.label_ for ent in dev[0].ents] == ["Peop", "Loc"]
    assert [r.label for r in get_relations(dev[0])] == ["Live_In"]


def test_stsb_is_graded_from_0_to_1(folder):
    train, dev = read("stsb", folder)
    assert (len(train), len(dev)) == (12, 6)
    assert [get_pair(doc).score for doc in dev] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])


@pytest.mark.parametrize("name", ["squad1", "squad2"])
def test_squad_has_a_doc_for_each_question_of_train_only(folder, name):
    train, dev = read(name, folder)
    assert (len(train), len(dev)) == (12, 3)
    assert [len(get_questions(doc)) for doc in train] == [1] * 12
    assert [len(get_questions(doc)) for doc in dev] == [2] * 3
    (question,) = get_questions(train[0])
    assert train[0].text[question.answers[0].start :].startswith(question.answers[0].text)


def test_missing_data_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"E581.*train\.json"):
        read("squad2", tmp_path)


@pytest.mark.parametrize("name", NEW)
def test_recipe_of_ours(name):
    item = SETS[name]
    recipe = recipes.build(
        "ours", item.task, learn_rate=1e-4, updates=item.updates, options=item.options
    )
    heads = {name: block for name, block in recipe.components.items() if name != "transformer"}
    assert list(heads) == list(recipes.OUR_HEADS[item.task])
    scale = recipe.optimizer["encoder_scale"]
    assert scale == {"r": 0.25, "n": 0.25, "s": 1.0, "q": 0.5}[item.task[0]]
    assert recipe.optimizer["learn_rate"]["initial_rate"] == pytest.approx(1e-4 / scale)
    assert recipe.optimizer["learn_rate"]["total_steps"] == item.updates
    if "trf_relation" in heads:
        mode = "markers" if name.endswith("-markers") else "shared"
        assert heads["trf_relation"]["model"]["mode"] == mode
        assert heads["trf_relation"]["exclusive"] is name.startswith("semeval")
    if "trf_qa" in heads:
        deferred = 3 if name.endswith("-deferred") else 0
        assert (heads["trf_qa"]["model"]["deferred_layers"] or 0) == deferred


def run(name, folder, weights, results):
    item = replace(SETS[name], updates=2, batch_docs=4, n_seeds=1)
    job = plan.Job(
        data=folder,
        weights=weights,
        results=results,
        sides=("ours",),
        sets=(item,),
        seeds=(0,),
        rates=(1e-3,),
    )
    (record,) = plan.execute(job, lambda line: None)
    assert [found.scores for found in plan.collect(job)] == [record.scores]
    return record


@pytest.mark.parametrize(
    "name,scores",
    [
        ("semeval", {"semeval_macro_f", "semeval_acc"}),
        ("conll04", {"rel_micro_f", "ents_f", "rel_macro_f"}),
        ("stsb", {"sim_spearman", "sim_pearson"}),
        ("squad1", {"qa_f1", "qa_em"}),
        ("squad2", {"qa_f1", "qa_em", "qa_has_ans_f1", "qa_no_ans_f1", "qa_best_f1"}),
    ],
)
def test_two_updates_end_to_end(name, scores, folder, weights, tmp_path):
    record = run(name, folder, weights, tmp_path)
    assert record.score == record.scores[SETS[name].score]
    assert scores <= set(record.scores)
    assert all(isinstance(score, float) for score in record.scores.values())
    assert record.settings["batch_docs"] == 4 and record.updates == 2
    assert {"train_cpu", "train_wall", "eval_cpu", "eval_wall"} == set(record.seconds)
