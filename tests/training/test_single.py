import pytest
import spacy
from spacy.training.initialize import init_nlp
from spacy.util import load_config, load_config_from_str
from toy_training import CONFIG, initialized, write_corpora

import spacy_llm_tasks
from spacy_llm_tasks.training.config_check import find_problems
from spacy_llm_tasks.training.single import reduce_config

TASKS = spacy_llm_tasks.__path__[0] + "/configs/tasks.cfg"


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write_corpora(tmp_path_factory.mktemp("data"))


def config_of(paths, *changes, overrides=None):
    """The toy config with texts replaced, each where it stands first."""
    text = CONFIG
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    return load_config_from_str(text, overrides={**paths, **(overrides or {})}, interpolate=False)


def with_component(name, body, *, after):
    """Changes that add a component to the pipeline."""
    section = f"[components.{name}]\n{body}\n\n[corpora]\n"
    return [(f'"{after}"', f'"{after}","{name}"'), ("[corpora]\n", section)]


@pytest.mark.parametrize(
    "name, others",
    [
        ("trf_ner", []),
        ("trf_relation", ["trf_ner"]),
        ("trf_textcat", []),
        ("trf_similarity", []),
        ("trf_qa", []),
    ],
)
def test_each_task_of_the_shipped_config(paths, name, others):
    config = load_config(TASKS, overrides=paths, interpolate=False)
    reduced, kept = reduce_config(config, [name])
    assert reduced["nlp"]["pipeline"] == ["transformer", *others, name]
    assert set(reduced["components"]) == {"transformer", *others, name}
    assert list(kept) == ["transformer", *others]
    assert find_problems(reduced) == []
    # The rest is as it was, and still refers to its variables.
    for section in ("paths", "corpora", "system"):
        assert reduced[section] == config[section]
    weights = config["initialize"]["components"]
    assert reduced["initialize"]["components"] == weights
    assert weights["transformer"]["weights"] == "${paths.weights}"


def test_what_is_kept_is_explained(paths):
    config = load_config(TASKS, overrides=paths, interpolate=False)
    kept = reduce_config(config, ["trf_relation"]).kept
    assert kept["transformer"] == "trf_relation listens to it"
    assert "doc.ents" in kept["trf_ner"] and "trf_relation" in kept["trf_ner"]
    assert list(reduce_config(config, ["trf_ner", "trf_relation"]).kept) == ["transformer"]


def test_weights_of_what_is_left(paths):
    config = load_config(TASKS, overrides=paths, interpolate=False)
    # The factory has no weight for it, but its scorer gives it.
    config["training"]["score_weights"]["rel_gold_f"] = 0.1
    config["training"]["score_weights"]["of_my_own"] = 0.3
    weights = reduce_config(config, ["trf_qa"]).config["training"]["score_weights"]
    assert {key for key, weight in weights.items() if weight} == {"qa_f1", "qa_em", "of_my_own"}
    assert not any(key.startswith(("ents", "rel", "cats", "sim")) for key in weights)
    with_relations = reduce_config(config, ["trf_relation"]).config["training"]["score_weights"]
    assert with_relations["rel_gold_f"] == 0.1 and with_relations["ents_f"] == 0.2


def test_weights_are_the_factories_if_nothing_counts_any_more(paths):
    config = config_of(paths, overrides={"training.score_weights.cats_score": 0.0})
    nlp = init_nlp(reduce_config(config, ["textcat"]).config)
    assert nlp.config["training"]["score_weights"]["cats_score"] == 1.0


def test_the_whole_config_stays_as_it_was(paths):
    config = config_of(paths)
    before = config.to_str()
    reduce_config(config, ["ner"])
    assert config.to_str() == before


def test_stock_components_train_alone(paths):
    nlp = init_nlp(reduce_config(config_of(paths), ["textcat"]).config)
    assert nlp.pipe_names == ["tok2vec", "textcat"]
    assert nlp.get_pipe("tok2vec").listening_components == ["textcat"]
    assert nlp.config["training"]["score_weights"]["cats_score"] == 1.0
    assert "ents_f" not in nlp.config["training"]["score_weights"]


def test_lists_of_names(paths):
    config = config_of(
        paths,
        ("frozen_components = []", 'frozen_components = ["ner"]'),
        ("annotating_components = []", 'annotating_components = ["ner","tok2vec"]'),
        ("[training]\n", "[initialize]\n\n[initialize.components]\n\n[training]\n"),
        ("[training]\n", '[initialize.components.ner]\nlabels = ["PERSON"]\n\n[training]\n'),
        ('lang = "en"', 'lang = "en"\ndisabled = ["ner"]'),
    )
    reduced = reduce_config(config, ["textcat"]).config
    assert reduced["training"]["frozen_components"] == []
    assert reduced["training"]["annotating_components"] == ["tok2vec"]
    assert reduced["nlp"]["disabled"] == []
    assert reduced["initialize"]["components"] == {}
    assert find_problems(reduced) == []


def test_a_listener_that_only_the_factory_names(paths):
    """A block without a model trains the factory's default one."""
    changes = with_component("encoder", 'factory = "trf_encoder"', after="textcat")
    changes += with_component("found", 'factory = "trf_ner"', after="encoder")
    changes += with_component("other", 'factory = "trf_textcat"', after="found")
    reduced = reduce_config(config_of(paths, *changes), ["found"]).config
    # "*" links a head to every encoder before it.
    assert reduced["nlp"]["pipeline"] == ["tok2vec", "encoder", "found"]
    named = config_of(paths, *changes)
    named["components"]["found"]["model"] = {"tok2vec": {"upstream": "encoder"}}
    assert reduce_config(named, ["found"]).config["nlp"]["pipeline"] == ["encoder", "found"]


def test_only_what_comes_before_gives_anything(paths):
    changes = with_component("ruler", 'factory = "entity_ruler"', after="ner")
    changes += with_component("relations", 'factory = "trf_relation"', after="ruler")
    changes += with_component("late", 'factory = "entity_ruler"', after="textcat")
    reduced, kept = reduce_config(config_of(paths, *changes), ["relations"])
    assert reduced["nlp"]["pipeline"] == ["tok2vec", "ner", "ruler", "relations"]
    assert set(kept) == {"tok2vec", "ner", "ruler"}


def test_references_to_what_is_gone_become_values(paths):
    config = config_of(
        paths,
        ("width = 16\nnO = 2", "width = ${components.ner.model.hidden_width}\nnO = 2"),
    )
    reduced = reduce_config(config, ["textcat"]).config
    assert reduced["components"]["textcat"]["model"]["width"] == 16
    assert reduced["training"]["seed"] == "${system.seed}"


def test_variables_go_with_their_last_use(paths):
    config = config_of(
        paths,
        ("[system]", "[mine]\nhalf = 8\n\n[vars]\nhidden = ${mine.half}\nwidth = 16\n\n[system]"),
        ("hidden_width = 16", "hidden_width = ${vars.hidden}"),
        ("width = 16\nnO = 2", "width = ${vars.width}\nnO = 2"),
    )
    assert find_problems(config) == []
    reduced = reduce_config(config, ["textcat"]).config
    assert reduced["vars"] == {"width": 16} and "mine" not in reduced
    assert reduce_config(config, ["ner"]).config["mine"] == {"half": 8}
    assert find_problems(reduced) == []


def test_pretraining_of_an_encoder_that_is_gone(paths, tmp_path):
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"")
    section = '[pretraining]\ncomponent = "tok2vec"\n\n[initialize]\n'
    section += f'init_tok2vec = "{weights}"\n\n[training]\n'
    changes = with_component("rules", 'factory = "entity_ruler"', after="textcat")
    config = config_of(paths, *changes, ("[training]\n", section))
    alone = reduce_config(config, ["rules"]).config
    assert alone["pretraining"] == {} and alone["initialize"]["init_tok2vec"] is None
    kept = reduce_config(config, ["ner"]).config
    assert kept["pretraining"] and kept["initialize"]["init_tok2vec"] == str(weights)


def test_components_of_a_trained_pipeline(paths, tmp_path):
    """What they need stands in the config that they come from."""
    initialized(paths).to_disk(tmp_path / "trained")
    source = f'source = "{tmp_path / "trained"}"'
    start, end = CONFIG.index("[components.tok2vec]"), CONFIG.index("[components.textcat]")
    sections = f"[components.tok2vec]\n{source}\n\n[components.people]\n{source}\n"
    changes = [
        (CONFIG[start:end], f'{sections}component = "ner"\n\n'),
        ('"ner"', '"people"'),
        *with_component("relations", 'factory = "trf_relation"', after="people"),
    ]
    config = config_of(paths, *changes)
    assert reduce_config(config, ["relations"]).config["nlp"]["pipeline"] == [
        "tok2vec",
        "people",
        "relations",
    ]
    reduced = reduce_config(config, ["people"]).config
    assert init_nlp(reduced).pipe_names == ["tok2vec", "people"]
    # One that is not there is spaCy's to report.
    config["components"]["people"]["source"] = "none"
    assert reduce_config(config, ["people"]).config["nlp"]["pipeline"] == ["people"]


def test_an_unknown_name(paths):
    with pytest.raises(ValueError, match="E522.*'nerr'.*tok2vec, ner, textcat"):
        reduce_config(config_of(paths), ["ner", "nerr"])


def test_a_component_that_the_pipeline_does_not_use(paths):
    config = config_of(paths, ("[corpora]\n", '[components.idle]\nfactory = "ner"\n\n[corpora]\n'))
    with pytest.raises(ValueError, match="'idle'"):
        reduce_config(config, ["idle"])
    reduced = reduce_config(config, ["ner"]).config
    assert "idle" not in reduced["components"]
    assert spacy.util.load_model_from_config(reduced, auto_fill=True).pipe_names[-1] == "ner"
