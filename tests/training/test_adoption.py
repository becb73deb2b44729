import json

import pytest
import spacy
import torch
from pipeline import toys
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.cli.report import adoption_blocks
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.tokenization.tokenizer import PieceTokenizer
from spacy_llm_tasks.training import adoption
from spacy_llm_tasks.weights.checkpoint import save_encoder

CONFIG = """
[paths]
train = null
dev = null
weights = null

[system]
seed = 0
gpu_allocator = null

[nlp]
lang = "en"
pipeline = ["transformer","trf_textcat"]

[components]

[components.transformer]
factory = "trf_encoder"

[components.transformer.model]
@architectures = "spacy_llm_tasks.Transformer.v1"

[components.trf_textcat]
factory = "trf_textcat"

[corpora]

[corpora.train]
@readers = "spacy_llm_tasks.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy_llm_tasks.Corpus.v1"
path = ${paths.dev}

[training]
seed = 0
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
max_steps = 1000
gpu_allocator = ${system.gpu_allocator}

[training.optimizer]
@optimizers = "spacy_llm_tasks.AdamW.v1"
learn_rate = 0.001

[training.score_weights]
cats_score = 1.0

[initialize]

[initialize.components]

[initialize.components.transformer]
weights = ${paths.weights}
"""


def save_weights(folder, *, seed, std):
    toys.save_tokenizer(folder)
    n_pieces = PieceTokenizer.from_folder(folder).n_pieces
    torch.manual_seed(seed)
    config = TransformerConfig(
        n_pieces=n_pieces, width=16, depth=1, n_heads=2, max_length=32, n_segments=2, init_std=std
    )
    save_encoder(folder, TransformerEncoder(config), family="bert")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adoption")
    nlp = spacy.blank("en")
    docs = [toys.gold_doc(nlp, i) for i in range(2)]
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "two.spacy")
    save_weights(folder / "there", seed=0, std=0.02)
    save_weights(folder / "other", seed=1, std=0.02)
    (folder / "config.cfg").write_text(CONFIG, encoding="utf8")
    return folder


def invoke(folder, tmp_path, candidate):
    arguments = ["adopt", folder / "config.cfg", "--weights", folder / "there"]
    arguments += ["--candidate", folder / candidate, "--output", tmp_path / "chosen"]
    arguments += ["--metrics", tmp_path / "adoption.json", "--steps", "2"]
    arguments += ["--paths.train", folder / "two.spacy", "--paths.dev", folder / "two.spacy"]
    return CliRunner().invoke(app, [str(word) for word in arguments])


def adopt(folder, tmp_path, candidate):
    result = invoke(folder, tmp_path, candidate)
    assert result.exit_code == 0, result.output
    return result, json.loads((tmp_path / "adoption.json").read_text(encoding="utf8"))


def test_the_same_weights_score_the_same_and_are_adopted(folder, tmp_path):
    result, found = adopt(folder, tmp_path, "there")
    assert found["before"] == found["after"] and list(found["before"]) == ["cats_score"]
    assert found["adopted"] and found["fallen"] == [] and found["steps"] == 2
    assert "The candidate is adopted." in result.output


@pytest.mark.parametrize("after, chosen", [(0.5, "there"), (0.8, "other"), (0.9, "other")])
def test_a_score_that_falls_keeps_the_weights_there_were(
    folder, tmp_path, monkeypatch, after, chosen
):
    scores = {"there": {"ents_f": 0.7, "cats_score": 0.8}}
    scores["other"] = {"ents_f": 0.7, "cats_score": after}
    monkeypatch.setattr(adoption, "_try", lambda config, path, **options: scores[path.name])
    result, found = adopt(folder, tmp_path, "other")
    assert found["adopted"] == (chosen == "other")
    assert found["fallen"] == ([] if chosen == "other" else ["cats_score"])
    copied = (tmp_path / "chosen" / "model.safetensors").read_bytes()
    assert copied == (folder / chosen / "model.safetensors").read_bytes()
    assert PieceTokenizer.from_folder(tmp_path / "chosen").n_pieces
    page = "\n".join(adoption_blocks(found))
    assert "| cats_score | 0.8000 | " in page
    assert ("not adopted" in page) == (chosen == "there")


def test_each_folder_fills_the_encoder_of_its_training(folder, tmp_path):
    """Other weights, other scores: over two steps the losses at least differ."""
    seen = []

    def init(config, **options):
        seen.append(config.interpolate()["initialize"]["components"]["transformer"]["weights"])
        return real(config, **options)

    real = adoption.init_nlp
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adoption, "init_nlp", init)
        adopt(folder, tmp_path, "other")
    assert seen == [str(folder / "there"), str(folder / "other")]


def test_files_of_others_are_not_replaced(folder, tmp_path):
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen" / "thesis.txt").write_text("mine")
    result = invoke(folder, tmp_path, "there")
    assert result.exit_code == 1 and "E530" in result.output
    assert [path.name for path in (tmp_path / "chosen").iterdir()] == ["thesis.txt"]
