import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_llm_tasks.scoring.retrieval import mrr_at_k, ndcg_at_k, precision_at_k, recall_at_k

IDS = st.integers(0, 9)
QUERIES = st.lists(
    st.tuples(
        st.lists(IDS, unique=True, max_size=10),
        st.dictionaries(IDS, st.sampled_from([-1, 0, 1, 2, 3, 0.5]), max_size=6),
    ),
    max_size=5,
)
METRICS = (ndcg_at_k, mrr_at_k, recall_at_k, precision_at_k)


def naive(ranking, grades, k, gain):
    def dcg(values):
        return sum(gain(max(0, x)) / math.log2(i + 2) for i, x in enumerate(values[:k]))

    got = [grades.get(x, 0) for x in ranking]
    ideal = dcg(sorted(grades.values(), reverse=True))
    hits = [x > 0 for x in got[:k]]
    n_relevant = sum(x > 0 for x in grades.values())
    first = next((i for i, hit in enumerate(hits) if hit), None)
    return (
        dcg(got) / ideal if ideal else 0.0,
        0.0 if first is None else 1 / (first + 1),
        sum(hits) / n_relevant if n_relevant else 0.0,
        sum(hits) / k,
    )


def mean(values):
    return sum(values) / len(values) if values else None


@settings(max_examples=200, deadline=None)
@given(QUERIES, st.sampled_from([1, 2, 3, 10, 1000]))
def test_equal_to_the_definitions(queries, k):
    rankings, relevant = [r for r, _ in queries], [g for _, g in queries]
    linear = [naive(r, g, k, lambda x: x) for r, g in queries if g]
    for i, metric in enumerate(METRICS):
        expected = mean([row[i] for row in linear])
        assert metric(rankings, relevant, k=k) == pytest.approx(expected)
    steep = mean([naive(r, g, k, lambda x: 2**x - 1)[0] for r, g in queries if g])
    assert ndcg_at_k(rankings, relevant, k=k, gain="exponential") == pytest.approx(steep)


@settings(max_examples=50, deadline=None)
@given(QUERIES, st.integers(1, 12))
def test_a_collection_means_grade_one(queries, k):
    rankings = [r for r, _ in queries]
    as_sets = [set(g) for _, g in queries]
    as_grades = [dict.fromkeys(g, 1) for _, g in queries]
    for metric in METRICS:
        found = metric(rankings, as_sets, k=k)
        assert found == metric(rankings, as_grades, k=k)
        assert found == metric(rankings, [list(x) for x in as_sets], k=k)
    assert ndcg_at_k(rankings, as_sets, k=k) == ndcg_at_k(
        rankings, as_sets, k=k, gain="exponential"
    )


def test_known_cases():
    rankings, relevant = [["b", "a", "c"]], [{"a": 3, "c": 1}]
    assert mrr_at_k(rankings, relevant, k=3) == 0.5
    assert mrr_at_k(rankings, relevant, k=1) == 0.0
    assert recall_at_k(rankings, relevant, k=2) == 0.5
    assert precision_at_k(rankings, relevant, k=4) == 0.5
    linear = (3 / math.log2(3) + 1 / 2) / (3 + 1 / math.log2(3))
    assert ndcg_at_k(rankings, relevant, k=3) == pytest.approx(linear)
    steep = (7 / math.log2(3) + 1 / 2) / (7 + 1 / math.log2(3))
    assert ndcg_at_k(rankings, relevant, k=3, gain="exponential") == pytest.approx(steep)
    assert ndcg_at_k([["a", "c"]], relevant, k=10) == pytest.approx(1.0)


def test_which_queries_count():
    for metric in METRICS:
        assert metric([], [], k=3) is None
        assert metric([["a"]], [{}], k=3) is None
        assert metric([["a"], ["a"]], [set(), {"a"}], k=1) == 1.0
        # Judged, but with nothing relevant, and nothing found: both count 0.
        assert metric([["a"], ["a"]], [{"a": 0}, {"a": 1}], k=1) == 0.5
        assert metric([[], ["a"]], [{"a"}, {"a"}], k=1) == 0.5


def test_bad_input_is_refused():
    for metric in METRICS:
        with pytest.raises(ValueError, match="E313.*k must"):
            metric([["a"]], [{"a"}], k=0)
        with pytest.raises(ValueError, match="E331"):
            metric([["a"]], [], k=1)
        with pytest.raises(ValueError, match="E364.*query 1.*'b'"):
            metric([["a"], ["a", "b", "b"]], [{"a"}, {"a"}], k=3)
    with pytest.raises(ValueError, match="E313.*gain"):
        ndcg_at_k([["a"]], [{"a"}], k=1, gain="square")
