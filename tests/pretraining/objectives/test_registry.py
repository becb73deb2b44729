import pytest

from spacy_llm_tasks.pretraining.objectives import OBJECTIVES, MaskedLM, make_objective


def test_objectives_are_built_by_name():
    assert set(OBJECTIVES) == {
        *("masked", "replaced", "next_sentence", "contrastive", "causal", "denoising"),
    }
    for name in OBJECTIVES:
        objective = make_objective(name, {"weight": 2.0})
        assert (objective.name, objective.weight) == (name, 2.0)
        assert objective.kind in ("encoder", "decoder", "seq2seq") and objective.framing >= 1
    found = make_objective("masked", {"rate": 0.4, "unit": "span"})
    assert isinstance(found, MaskedLM) and (found.rate, found.unit) == (0.4, "span")


def test_unknown_names_and_settings_are_refused():
    with pytest.raises(ValueError, match="E732.*'maskd'.*masked"):
        make_objective("maskd", {})
    with pytest.raises(ValueError, match="E733.*'rat' .*Did you mean 'rate'"):
        make_objective("masked", {"rat": 0.1})
    with pytest.raises(ValueError, match="E733.*Known: weight"):
        make_objective("causal", {"qqq": 0.1})
