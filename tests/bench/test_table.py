import pytest

from spacy_llm_tasks.bench import table
from spacy_llm_tasks.bench.plan import choose_rate
from spacy_llm_tasks.bench.sets import SETS, choose
from spacy_llm_tasks.bench.table import Cell

from .test_records import make

GRID = (1e-4, 2e-4)


def runs(side, name, by_rate):
    """One record for each rate and seed: {rate: [score of seed 0, of seed 1, ...]}."""
    return [
        make(side, name, seed, rate, score, ents_f_first_1200=score + 0.1)
        for rate, scores in by_rate.items()
        for seed, score in enumerate(scores)
    ]


@pytest.fixture
def found():
    return [
        *runs("ours", "wnut17", {1e-4: [0.50], 2e-4: [0.60, 0.62, 0.64]}),
        *runs("peer", "wnut17", {1e-4: [0.58, 0.57, 0.59], 2e-4: [0.41]}),
        *runs("ours", "bc5cdr", {2e-4: [0.70]}),
        *runs("peer", "bc5cdr", {1e-4: [0.705], 2e-4: [0.60]}),
        *runs("peer", "trec", {1e-4: [0.91], 2e-4: [0.93]}),
    ]


def lines(found, **options):
    options = {"seeds": (0, 1, 2), "rates": GRID, **options}
    text = table.render(found, list(SETS.values()), **options)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {tuple(row[:2]): row for row in rows}, text


def test_best_dev_score_chooses_the_rate_and_the_lower_wins_a_tie():
    assert choose_rate(runs("peer", "trec", {2e-4: [0.9], 1e-4: [0.8]})) == 2e-4
    assert choose_rate(runs("peer", "trec", {2e-4: [0.9], 1e-4: [0.9]})) == 1e-4
    assert choose_rate(runs("peer", "trec", {2e-4: [0.9, 0.7], 1e-4: [0.8, 0.9]})) == 1e-4
    # what is not done yet does not count
    assert choose_rate(runs("peer", "trec", {2e-4: [0.9], 1e-4: [0.8, 0.9]})) == 1e-4


def test_each_side_is_shown_at_its_own_rate(found):
    rows, _ = lines(found)
    row = rows["wnut17", "ents_f"]
    assert row[4] == "0.6200 (0.600, 0.620, 0.640)"
    assert row[5] == "0.5800 (0.580, 0.570, 0.590)"
    assert row[6] == "+4.00 ± 1.00 points, ahead"
    assert rows["wnut17", "ours"][2:] == ["0.5000", "0.6000", "0.0002"]
    assert rows["wnut17", "peer"][2:] == ["0.5800", "0.4100", "0.0001"]
    assert rows["bc5cdr", "ours"][2:] == ["-", "0.7000", "0.0002"]


def test_half_a_point_on_one_seed_is_a_tie(found):
    rows, _ = lines(found)
    assert rows["bc5cdr", "ents_f"][5:7] == ["0.7050", "-0.5 points, tie"]
    assert rows["bc5cdr", "ents_f_first_1200"][4] == "0.8000"


def test_runs_that_are_not_done_show_as_dashes(found):
    rows, _ = lines(found)
    assert rows["trec", "accuracy"][3:7] == ["0 and 1 of 3", "-", "0.9300", "-"]
    assert rows["sst2", "accuracy"][3:7] == ["1", "-", "-", "-"]


def test_table_of_nothing_has_all_rows():
    rows, text = lines([])
    assert {name for name, _ in rows} >= set(SETS)
    assert "0.0001, 0.0002" in text


def test_new_sets_have_rows_of_their_own_scores(found):
    more = [
        make("ours", "conll04", 0, 1e-4, 0.4, rel_micro_f=0.4, ents_f=0.8),
        make("peer", "conll04", 0, 1e-4, 0.3, rel_micro_f=0.3),
        make("ours", "squad1", 0, 2e-4, 0.5, qa_f1=0.5, qa_em=0.41),
    ]
    more[1].scores.pop("ents_f")
    rows, text = lines([*found, *more])
    assert rows["conll04", "rel_micro_f"][4:7] == ["0.4000", "0.3000", "+10.0 points, ahead"]
    assert rows["conll04", "ents_f"][4:7] == ["0.8000", "-", "-"]
    assert rows["squad1", "qa_em"][4:6] == ["0.4100", "-"]
    assert rows["stsb", "sim_spearman"][4:6] == ["-", "-"]


def test_sets_of_one_rate_are_named_and_have_no_row_of_the_grid(found):
    rows, text = lines([*found, make("ours", "squad1", 0, 2e-4, 0.5, qa_f1=0.5, qa_em=0.4)])
    assert ("squad1", "ours") not in rows and ("wnut17", "ours") in rows
    assert "Not tuned, one rate for both sides: squad1 (0.0002)" in text
    assert "Not tuned" not in table.render(found, choose("trec"), seeds=(0,), rates=GRID)


def test_sets_with_rates_of_their_own_are_named_and_have_a_row_of_the_grid(found):
    more = [
        make("ours", "stsb", 0, rate, score, sim_spearman=score)
        for rate, score in ((5e-5, 0.8), (1e-4, 0.7))
    ]
    rows, text = lines([*found, *more])
    assert "Begun with other rates, for both sides: stsb (5e-05, 0.0001)." in text
    assert rows["stsb", "sim_spearman"][4] == "0.8000"
    assert "Begun with other" not in table.render(found, choose("trec"), seeds=(0,), rates=GRID)


def test_an_untuned_table_says_so(found):
    rows, text = lines([run for run in found if run.key.learn_rate == 2e-4], rates=(2e-4,))
    assert "not tuned" in text and ("wnut17", "ours") not in rows
    assert rows["bc5cdr", "ents_f"][6] == "+10.0 points, ahead"


def test_rates_beyond_the_grid_have_columns_of_their_own(found):
    rows, _ = lines([*found, *runs("ours", "trec", {2e-4: [0.91, 0.92], 4e-4: [0.94, 0.95]})])
    assert rows["trec", "ours"][2:] == ["-", "0.9150", "0.9450", "0.0004"]
    assert rows["trec", "peer"][2:] == ["0.9100", "0.9300", "-", "0.0002"]
    assert rows["trec", "accuracy"][4] == "0.9450 (0.940, 0.950)"


def test_verdicts():
    def verdict(ours, peer):
        return table.verdict(*(Cell(1e-4, scores, 1.0) for scores in (ours, peer)))

    assert verdict((0.90,), (0.895,)) == "tie"
    assert verdict((0.90,), (0.88,)) == "ahead"
    assert verdict((0.88,), (0.90,)) == "behind"
    assert verdict((0.90, 0.80), (0.84, 0.84)) == "tie"
    assert verdict((0.90, 0.80), (0.90, 0.80)) == "tie"
    assert verdict((0.90, 0.80), (0.89, 0.79)) == "ahead"  # the seeds differ, the sides do not
    assert verdict((0.90, 0.80), (0.89, 0.79, 0.84)) == "tie"
    assert verdict((0.901, 0.902), (0.898, 0.899)) == "ahead"


def test_standard_errors():
    def error(ours, peer):
        return table.standard_error(*(Cell(1e-4, scores, 1.0) for scores in (ours, peer)))

    assert error((0.9,), (0.8, 0.7)) is None
    # differences of 0.1, 0.2 and 0.3: a standard deviation of 0.1, over three seeds
    assert error((0.9, 0.9, 0.9), (0.8, 0.7, 0.6)) == pytest.approx(0.1 / 3**0.5)
    # seeds that differ: variances of 0.02 over two and 0.01 over three
    assert error((0.9, 0.7), (0.8, 0.7, 0.6)) == pytest.approx((0.02 / 2 + 0.01 / 3) ** 0.5)


def test_unknown_set_is_named():
    assert [item.name for item in choose("trec, wnut17")] == ["trec", "wnut17"]
    assert choose("all") == list(SETS.values())
    with pytest.raises(ValueError, match="E582.*conll"):
        choose("wnut17,conll")
