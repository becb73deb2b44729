import dataclasses
import json

import pytest

from spacy_llm_tasks.nn.config import TransformerConfig


def test_derived_settings():
    config = TransformerConfig(n_pieces=100, width=96, n_heads=4)
    assert (config.ffn_width, config.embedding_width, config.head_width) == (384, 96, 24)
    assert config.final_norm is False
    assert TransformerConfig(n_pieces=100, norm_position="pre").final_norm is True


@pytest.mark.parametrize("width, expected", [(384, 1024), (256, 688)])
def test_gated_networks_have_two_thirds_of_the_width(width, expected):
    config = TransformerConfig(n_pieces=9, width=width, n_heads=4, activation="geglu")
    assert config.ffn_width == expected


def test_round_trip_through_json():
    config = TransformerConfig(n_pieces=100, width=64, n_heads=2, positions="rope", dropout=0)
    values = json.loads(json.dumps(config.to_dict()))
    assert TransformerConfig.from_dict(values) == config


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TransformerConfig(n_pieces=9).width = 8


@pytest.mark.parametrize(
    "name, value",
    [
        ("width", "32"),
        ("width", 0),
        ("depth", True),
        ("depth", 2.0),
        ("n_pieces", None),
        ("ffn_width", -1),
        ("n_segments", -1),
        ("positions", "relative"),
        ("norm", None),
        ("norm_position", "both"),
        ("activation", "tanh"),
        ("bias", 1),
        ("final_norm", "yes"),
        ("dropout", 1.0),
        ("attention_dropout", "0.1"),
        ("norm_eps", float("nan")),
        ("rope_base", 0.5),
        ("sinusoidal_order", "reversed"),
        ("embedding_scale", -1.0),
        ("first_norm", None),
        ("qk_norm", 1),
    ],
)
def test_bad_values_are_named(name, value):
    with pytest.raises(ValueError, match=f"E102.*'{name}'"):
        TransformerConfig(**{"n_pieces": 9, name: value})


def test_heads_must_fit():
    with pytest.raises(ValueError, match="E103"):
        TransformerConfig(n_pieces=9, width=10, n_heads=3)
    with pytest.raises(ValueError, match="E104"):
        TransformerConfig(n_pieces=9, width=9, n_heads=3, positions="rope")


def test_a_first_norm_is_left_out_with_pre_norm_only():
    assert not TransformerConfig(n_pieces=9, norm_position="pre", first_norm=False).first_norm
    with pytest.raises(ValueError, match="E126.*post"):
        TransformerConfig(n_pieces=9, first_norm=False)


def test_configs_of_older_versions_mean_what_they_meant():
    """What was added later is off where a saved config does not name it."""
    old = {"n_pieces": 9, "width": 16, "n_heads": 2, "positions": "sinusoidal"}
    config = TransformerConfig.from_dict(old)
    assert config.embedding_scale is None and config.first_norm and not config.qk_norm
    assert config.sinusoidal_order == "interleaved"


def test_unknown_and_missing_keys():
    with pytest.raises(ValueError, match="E101.*hidden_size"):
        TransformerConfig.from_dict({"n_pieces": 9, "hidden_size": 3})
    with pytest.raises(ValueError, match="E102.*n_pieces"):
        TransformerConfig.from_dict({"width": 32})
