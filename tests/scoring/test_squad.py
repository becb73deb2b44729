import re
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_llm_tasks.annotations import GoldAnswer, Question
from spacy_llm_tasks.scoring.squad import (
    best_over_golds,
    exact_match,
    f1,
    normalize_answer,
    score_squad,
)

WORDS = ["the", "a", "An", "THE", "A.M.", "am", "cat", "cats", "the-cat", "don't", "and", "35"]
ODD = ["3,5", "...", "!", "\u00a0", "\n", "\t", "İ", "Ünï", "ﬁn", "“a”", "_", "\u4e2d\u6587", ""]
PIECES = st.sampled_from(WORDS + ODD)
TEXTS = st.one_of(
    st.text(max_size=8),
    st.lists(st.tuples(PIECES, st.sampled_from([" ", "", "  ", "-"])), max_size=5).map(
        lambda rows: "".join(word + space for word, space in rows)
    ),
)


def questions_of(golds):
    return [
        Question(f"q{i}", "Who?", tuple(GoldAnswer(text, 0) for text in texts))
        for i, texts in enumerate(golds)
    ]


# ------------------------------------------------------------------------------ one answer


def plain_normal(text):
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def plain_f1(prediction, gold, *, version):
    left, right = plain_normal(prediction).split(), plain_normal(gold).split()
    if version == "2.0" and (not left or not right):
        return float(left == right)
    n_left, n_right, shared = len(left), len(right), 0
    for word in left:
        if word in right:
            right.remove(word)
            shared += 1
    return 2 * shared / (n_left + n_right) if shared else 0.0


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS)
def test_one_answer_equals_the_plain_algorithm(prediction, gold):
    assert normalize_answer(gold) == plain_normal(gold)
    assert exact_match(prediction, gold) == (plain_normal(prediction) == plain_normal(gold))
    for version, empty_agree in (("1.1", False), ("2.0", True)):
        expected = plain_f1(prediction, gold, version=version)
        assert f1(prediction, gold, empty_agree=empty_agree) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("The  Cat,\tand a DOG!", "cat and dog"),
        ("10 a.m.", "10 am"),  # were articles to go before punctuation, it would be "10 m"
        ("theatre anthem", "theatre anthem"),
        ("the-cat", "thecat"),
        ("the", ""),
        ("...!?", ""),
        ("", ""),
        ("\u00a0é \u2003x\r\n", "é x"),
        ("“the”", "“ ”"),  # only ASCII marks are punctuation
    ],
)
def test_normal_forms(text, expected):
    assert normalize_answer(text) == expected


def test_known_overlaps():
    assert f1("the cat sat", "a cat") == pytest.approx(2 / 3)
    assert f1("cat cat", "cat") == pytest.approx(2 / 3)
    assert exact_match("The Cat!", "cat") and not exact_match("cats", "cat")
    # Articles only: equal as text, and alike in 2.0, but without a word in common.
    assert exact_match("the", "a") and f1("the", "a") == 1.0
    assert f1("the", "a", empty_agree=False) == f1("", "", empty_agree=False) == 0.0
    assert f1("", "cat") == f1("cat", "!") == 0.0
    assert best_over_golds(f1, "cat", ["dog", "a cat", "cat sat"]) == 1.0
    assert best_over_golds(exact_match, "cat", []) == 0.0


# ------------------------------------------------------------------------------ Chinese

MARKS = "，。、；：？！“”’《》「」『』（）·－～-:_*^/\\~`+="
SIGNS = ';@#$%&?![](){}<>"‘„«»–—'
CHINESE = st.lists(
    st.sampled_from([*"中文字符一龥，。…—《》·-.,%(℃", "NBA", "3.14", "1,000", "..", " "]),
    max_size=7,
)


def plain_chinese_tokens(text):
    text = "".join(c for c in text.lower().strip() if c not in MARKS)
    return [
        token
        for run in re.split("([\u4e00-\u9fa5])", text)
        for token in plain_words(run)  # one Chinese character, or what is between two
    ]


def plain_words(run):
    body = run.rstrip("])}>\"'» ")
    if body.endswith(".") and not body.endswith(".."):
        run = body[:-1] + " . " + run[len(body) :]
    run = re.sub(r"\.\.+", r" \g<0> ", run)
    run = re.sub(r",(?=\D|$)", " , ", run)
    for sign in SIGNS:
        run = run.replace(sign, f" {sign} ")
    return run.split()


def plain_chinese_f1(prediction, gold):
    left, right = plain_chinese_tokens(prediction), plain_chinese_tokens(gold)
    runs = [
        j - i
        for i in range(len(left))
        for j in range(i + 1, len(left) + 1)
        if any(left[i:j] == right[k : k + j - i] for k in range(len(right)))
    ]
    return 2 * max(runs) / (len(left) + len(right)) if runs else 0.0


@settings(max_examples=300, deadline=None)
@given(CHINESE, CHINESE, st.integers(0, 7))
def test_chinese_equals_the_plain_algorithm(prediction, pieces, cut):
    gold = "".join(pieces)
    for text in ("".join(prediction), "".join(pieces[cut:] + prediction[:1])):
        expected = plain_chinese_f1(text, gold)
        assert f1(text, gold, lang="zh", empty_agree=False) == pytest.approx(expected)
        bare = ["".join(c for c in x.lower().strip() if c not in MARKS) for x in (text, gold)]
        assert exact_match(text, gold, lang="zh") == (bare[0] == bare[1])


def test_chinese_counts_characters_and_whole_foreign_words():
    assert f1("北京", "北京大学", lang="zh") == pytest.approx(2 / 3)
    assert f1("《北京》", "北京", lang="zh") == 1.0 and exact_match("《北京》。", "北京", lang="zh")
    # The longest run in common, not the bag of characters.
    assert f1("京北", "北京", lang="zh") == 0.5
    assert f1("NBA", "nba球队", lang="zh") == 0.5
    assert f1("nb", "nba", lang="zh") == 0.0
    assert f1("1,000.5米", "1,000.5", lang="zh") == pytest.approx(2 / 3)
    # Words of other scripts as the Penn Treebank has them: signs that it does not name stay inside.
    for text, n_tokens in {
        "30℃": 1,
        "92％": 1,
        "92%": 2,
        "1,000元": 2,
        ",000元": 2,
        "元,": 2,
        "U.S.": 2,
        "(U.S.)": 4,
        "3.5": 1,
        "3.…": 1,
        "——3": 3,
        "3...": 2,
        "don't": 1,
    }.items():
        assert f1(text, text, lang="zh") == 1.0
        # With as many other tokens behind it, half of them are right.
        assert f1(text + "中" * n_tokens, text, lang="zh") == pytest.approx(2 / 3), text
    # No articles, no ASCII stop.
    assert not exact_match("the", "a", lang="zh") and not exact_match("北京.", "北京", lang="zh")
    assert f1("。", "", lang="zh") == 1.0 and f1("。", "", lang="zh", empty_agree=False) == 0.0
    scores = score_squad(questions_of([["北京大学"]]), {"q0": "北京"}, lang="zh")
    assert scores["qa_em"] == 0.0 and scores["qa_f1"] == pytest.approx(2 / 3)


# ------------------------------------------------------------------------------ version 1.1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(TEXTS, min_size=1, max_size=3), st.none() | TEXTS),
        min_size=1,
        max_size=6,
    )
)
def test_version_1_equals_the_plain_algorithm(data):
    predictions = {f"q{i}": text for i, (_, text) in enumerate(data) if text is not None}
    em, overlap = [], []
    for golds, text in data:
        if text is None:
            em.append(0.0)
            overlap.append(0.0)
            continue
        em.append(max(float(plain_normal(text) == plain_normal(gold)) for gold in golds))
        overlap.append(max(plain_f1(text, gold, version="1.1") for gold in golds))
    scores = score_squad(questions_of([golds for golds, _ in data]), predictions)
    assert scores.pop("qa_em") == pytest.approx(np.mean(em))
    assert scores.pop("qa_f1") == pytest.approx(np.mean(overlap))
    assert set(scores.values()) == {None}


def test_the_versions_differ_in_answers_without_words():
    questions = questions_of([["the"]])
    assert score_squad(questions, {"q0": "a"})["qa_f1"] == 0.0
    assert score_squad(questions, {"q0": "a"}, version="2.0")["qa_f1"] == 1.0
    with pytest.raises(ValueError, match="E362.*'q1'"):
        score_squad(questions_of([["x"], []]), {}, version="1.1")
    with pytest.raises(ValueError, match="E313.*version"):
        score_squad(questions, {}, version="3")


# ------------------------------------------------------------------------------ version 2.0


def plain_version_2(golds, predictions, refusals, threshold):
    """Every figure by its description: apply the threshold, then average over kinds."""

    def score(metric, i, text):
        accepted = [gold for gold in golds[i] if plain_normal(gold)] or [""]
        return max(metric(text, gold) for gold in accepted)

    def em(text, gold):
        return float(plain_normal(text) == plain_normal(gold))

    def overlap(text, gold):
        return plain_f1(text, gold, version="2.0")

    def mean(values):
        return sum(values) / len(values) if values else None

    results = {}
    for name, metric in (("em", em), ("f1", overlap)):
        raw = [score(metric, i, text) for i, text in enumerate(predictions)]
        cut = [
            float(not golds[i]) if refusals[i] > threshold else value for i, value in enumerate(raw)
        ]
        results[f"qa_{name}"] = mean(cut)
        results[f"qa_has_ans_{name}"] = mean(
            [x for x, gold in zip(cut, golds, strict=True) if gold]
        )
        results[f"qa_no_ans_{name}"] = mean(
            [x for x, gold in zip(cut, golds, strict=True) if not gold]
        )
        # Answer the n questions of the lowest no-answer scores, for every n; a refusal is right
        # for a question without answer, and so is an empty prediction.
        order = sorted(range(len(golds)), key=lambda i: refusals[i])
        tried = []
        for n in range(len(golds) + 1):
            total = 0.0
            for place, i in enumerate(order):
                if place < n and golds[i]:
                    total += raw[i]
                elif not golds[i]:
                    total += float(place >= n or not predictions[i])
            tried.append(total / len(golds))
        results[f"qa_best_{name}"] = max(tried)
        results[f"qa_best_{name}_tried"] = tried
    return results, sorted(refusals)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(TEXTS, max_size=2),
            st.one_of(st.just(""), TEXTS),
            st.booleans(),
            st.sampled_from([0.0, 0.1, 0.5, 0.5, 0.9, 1.0, 2.0]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([0.1, 0.5, 1.0]),
)
def test_version_2_equals_the_plain_algorithm(data, threshold):
    golds = [texts for texts, *_ in data]
    texts = [golds[0] if right and golds else text for golds, text, right, _ in data]
    refusals = [refusal for *_, refusal in data]
    expected, ordered = plain_version_2(golds, texts, refusals, threshold)
    scores = score_squad(
        questions_of(golds),
        {f"q{i}": text for i, text in enumerate(texts)},
        no_answer_scores={f"q{i}": value for i, value in enumerate(refusals)},
        threshold=threshold,
    )
    for name, value in expected.items():
        if not name.endswith("_tried"):
            assert scores[name] == pytest.approx(value), name
    for name in ("em", "f1"):
        tried = expected[f"qa_best_{name}_tried"]
        # The lowest that is as good as the best, up to rounding.
        good = [n for n, value in enumerate(tried) if value >= max(tried) - 1e-9]
        found = scores[f"qa_best_{name}_threshold"]
        assert found in {ordered[n - 1] if n else 0.0 for n in good}


def test_parts_and_threshold():
    questions = questions_of([["a cat"], ["dog"], [], []])
    predictions = {"q0": "cat", "q1": "a wolf", "q2": "", "q3": "bird"}
    scores = score_squad(questions, predictions)
    assert scores["qa_em"] == scores["qa_has_ans_em"] == scores["qa_no_ans_em"] == 0.5
    assert scores["qa_best_f1"] is scores["qa_best_f1_threshold"] is None
    unsure = {"q0": 0.1, "q1": 0.6, "q2": 0.2, "q3": 0.9}
    scores = score_squad(questions, predictions, no_answer_scores=unsure, threshold=0.5)
    assert scores["qa_f1"] == 0.75 and scores["qa_no_ans_f1"] == 1.0
    assert scores["qa_best_f1"] == 0.75 and scores["qa_best_f1_threshold"] == 0.1
    # The default threshold refuses nothing that is a probability.
    assert score_squad(questions, predictions, no_answer_scores=unsure)["qa_f1"] == 0.5


def test_missing_predictions_count_nothing():
    questions = questions_of([["cat"], [], []])
    scores = score_squad(questions, {"q0": "cat", "q2": ""})
    assert scores["qa_f1"] == pytest.approx(2 / 3) and scores["qa_no_ans_f1"] == 0.5
    refusals = {"q0": 0.0, "q2": 0.0, "other": 1.0}
    scores = score_squad(questions, {"q0": "cat", "q2": ""}, no_answer_scores=refusals)
    assert scores["qa_best_f1"] == scores["qa_f1"] == pytest.approx(2 / 3)
    assert score_squad(questions, {}, no_answer_scores={})["qa_best_em"] == 0.0
    with pytest.raises(ValueError, match="E363.*'q0'"):
        score_squad(questions, {"q0": "cat"}, no_answer_scores={"q1": 0.5})


def test_without_questions_there_is_no_score():
    for version in (None, "1.1", "2.0"):
        assert set(score_squad([], {"q0": "x"}, version=version).values()) == {None}
