"""Where time goes: operators fall into kinds, and shares are of the time without the profiler."""

import json

import pytest
import torch

from spacy_llm_tasks.bench import profile

from .data import write_weights
from .test_command import call


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize(
    "operator, kind",
    [
        ("mkldnn::_linear_pointwise", "products"),
        ("onednn::qlinear_pointwise", "products"),
        ("aten::addmm", "products"),
        ("aten::baddbmm", "attention"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::native_layer_norm", "norms"),
        ("aten::amax", "copies and rounding"),
        ("aten::index_select", profile.REST),
    ],
)
def test_kinds_of_operators(operator, kind):
    assert profile.kind_of(operator) == kind


def test_shares_are_of_each_round():
    one = {"aten::addmm": 0.5, "aten::bmm": 0.2, "aten::softmax": 0.1, "aten::view": 0.1}
    slower = {name: 3 * seconds for name, seconds in one.items()}
    found = profile.shares([(1.0, one), (3.0, slower), (1.0, {"aten::addmm": 0.9})])
    assert found == {
        "products": 0.5,
        "attention": 0.3,
        "norms": 0.0,
        "copies and rounding": 0.0,
        profile.REST: 0.1,
        profile.OUTSIDE: 0.1,
    }


def test_report_and_command(weights):
    threads = torch.get_num_threads()
    arguments = ["--weights", str(weights), "--words", "200", "--rounds", "1"]
    arguments += ["--precision", "fp32,bf16", "--threads", str(threads), "--texts", "long"]
    found = json.loads(call("profile", *arguments, "--format", "json").stdout)
    assert [row["precision"] for row in found["results"]] == ["fp32", "bf16"]
    for row in found["results"]:
        assert row["words_per_cpu_s"] > 0 and row["shares"]["products"] > 0
        assert row["shares"][profile.OUTSIDE] > 0 and row["windows"] != "default"
        assert sum(row["shares"].values()) == pytest.approx(1.0, abs=0.01)
    assert "| fp32 |" in profile.render(found)
    with pytest.raises(ValueError, match="E123"):
        profile.report(
            weights, kind="sentences", precisions=["fp4"], n_words=9, rounds=1, threads=1, seed=0
        )
