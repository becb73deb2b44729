"""Weights in one file, as `spacy pretrain` writes it and `[initialize] init_tok2vec` reads it."""

import json

import numpy as np
import pytest
import spacy
import torch
from spacy.language import DEFAULT_CONFIG_PRETRAIN_PATH
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.training.pretrain import pretrain
from spacy.util import load_config
from thinc.api import Config
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.layers.encoder import shim_of
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.pipeline.init_tok2vec import write_init_tok2vec
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.weights.checkpoint import save_encoder

from . import toys

NAME = "transformer"
OPEN = {key: None for key in ("width", "depth", "n_heads", "max_length")}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A checkpoint of a shape that no default would give."""
    folder = toys.save_tokenizer(tmp_path_factory.mktemp("weights"))
    n_pieces = PieceTokenizer.from_folder(folder).n_pieces
    torch.manual_seed(4)
    config = TransformerConfig(
        n_pieces=n_pieces, width=24, depth=3, n_heads=3, max_length=40, n_segments=2
    )
    save_encoder(folder, TransformerEncoder(config), family="bert")
    return folder


@pytest.fixture(scope="module")
def written(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "encoder.bin"
    write_init_tok2vec(weights, path)
    return path


def pipeline(*, weights=None, path=None, head=None, **settings):
    """An encoder and a head that start from a folder or from a file."""
    nlp = toys.empty_pipeline("unused", **{**OPEN, **settings})
    nlp.add_pipe("trf_ner", config=head or {})
    nlp.config["initialize"]["components"][NAME] = {"weights": str(weights)} if weights else {}
    if path is not None:
        nlp.config["initialize"]["init_tok2vec"] = str(path)
        nlp.config["pretraining"] = pretraining()
    return nlp


def pretraining(component=NAME):
    section = load_config(DEFAULT_CONFIG_PRETRAIN_PATH)["pretraining"]
    return {**section, "component": component, "max_epochs": 2}


def rows(nlp):
    return [nlp(text).tensor for text in [*toys.TEXTS, "Pell " * 30]]


def assert_same(ours, theirs):
    for mine, other in zip(rows(ours), rows(theirs), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_config_starts_from_the_file_as_from_the_folder(weights, written, tmp_path):
    """As `spacy train` does it, from a config on the disk to an initialised pipeline."""
    nlps = []
    for start in ({"weights": weights}, {"path": written}):
        nlp = pipeline(**start)
        DocBin(docs=[toys.gold_doc(nlp, i) for i in (0, 1)]).to_disk(tmp_path / "train.spacy")
        reader = {"@readers": "spacy.Corpus.v1", "path": str(tmp_path / "train.spacy")}
        nlp.config["corpora"] = {"train": reader, "dev": reader}
        nlp.config["training"]["seed"] = 3
        nlp.config.to_disk(tmp_path / "train.cfg")
        nlps.append(init_nlp(load_config(tmp_path / "train.cfg", interpolate=False)))
    from_folder, from_file = nlps
    assert_same(from_file, from_folder)
    assert shim_of(from_file.get_pipe(NAME).model).encoder.config == (
        shim_of(from_folder.get_pipe(NAME).model).encoder.config
    )
    from_file.to_disk(tmp_path / "saved")
    assert_same(spacy.load(tmp_path / "saved"), from_folder)


def test_the_config_keeps_its_windows(written):
    nlp = pipeline(path=written, window=7, stride=5)
    toys.initialize(nlp)
    attrs = nlp.get_pipe(NAME).model.attrs
    assert (attrs["window"], attrs["stride"]) == (7, 5)


def test_it_trains_on_and_private_layers_begin_as_copies(written):
    head = {"model": {"tok2vec": {**toys.LISTENER, "private_layers": 1}}}
    nlp = pipeline(path=written, head=head)
    optimizer = toys.initialize(nlp)
    encoder = shim_of(nlp.get_pipe(NAME).model).encoder
    last, own = encoder.transformer.blocks[-1], encoder.branches["trf_ner"][0]
    for mine, shared in zip(own.parameters(), last.parameters(), strict=True):
        assert torch.equal(mine, shared)
    before = own.state_dict()["feedforward.up.weight"].clone()
    nlp.update(toys.examples(nlp), sgd=optimizer)
    assert not torch.equal(own.state_dict()["feedforward.up.weight"], before)


def test_what_does_not_fit_is_refused(written, tmp_path, weights):
    with pytest.raises(ValueError, match=r"E404.*depth = 2.*has 3"):
        toys.initialize(pipeline(path=written, depth=2))
    with pytest.raises(FileNotFoundError, match=r"E438.*nothing\.bin.*no such file"):
        toys.initialize(pipeline(path=tmp_path / "nothing.bin"))
    other = tmp_path / "other.bin"
    for content in (b"", b"no msgpack", written.read_bytes()[:1000]):
        other.write_bytes(content)
        with pytest.raises(ValueError, match=r"E438.*other\.bin.*init-tok2vec"):
            toys.initialize(pipeline(path=other))
    blank = spacy.blank("en")
    other.write_bytes(blank.add_pipe("tok2vec").model.to_bytes())
    with pytest.raises(ValueError, match="E438"):
        toys.initialize(pipeline(path=other))


def test_a_file_for_another_component_is_not_ours(written):
    nlp = pipeline(path=written)
    nlp.config["pretraining"] = pretraining(component="trf_ner")
    with pytest.raises(ValueError, match="E411"):
        toys.initialize(nlp)


def test_a_write_that_fails_leaves_the_file_alone(weights, written, tmp_path, monkeypatch):
    path = tmp_path / "encoder.bin"
    path.write_bytes(b"before")

    def full(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr("spacy_llm_tasks.files.sync", full)
    with pytest.raises(OSError, match="no space"):
        write_init_tok2vec(weights, path)
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_the_command(weights, written, tmp_path):
    path = tmp_path / "new" / "encoder.bin"
    result = CliRunner().invoke(app, ["weights", "init-tok2vec", str(weights), str(path)])
    assert result.exit_code == 0, result.output
    assert path.read_bytes() == written.read_bytes()
    assert str(path) in result.stdout and 'component = "transformer"' in result.stdout
    wrong = ["weights", "init-tok2vec", str(tmp_path / "none"), str(tmp_path / "x.bin")]
    refused = CliRunner().invoke(app, wrong)
    assert refused.exit_code == 1 and "[E111]" in refused.stderr
    assert not (tmp_path / "x.bin").exists()


# spaCy's own command


def pretrain_config(encoder, tmp_path):
    texts = "".join(json.dumps({"text": text}) + "\n" for text in toys.TEXTS * 3)
    (tmp_path / "raw.jsonl").write_text(texts, encoding="utf8")
    config = Config(spacy.blank("en").config).merge(load_config(DEFAULT_CONFIG_PRETRAIN_PATH))
    config["paths"]["raw_text"] = str(tmp_path / "raw.jsonl")
    config["pretraining"] = pretraining()
    config["nlp"]["pipeline"] = [NAME]
    config["components"] = {NAME: encoder}
    return config


def test_spacy_pretrain_goes_on_from_an_encoder_of_a_pipeline(weights, tmp_path):
    nlp = pipeline(weights=weights)
    toys.initialize(nlp)
    nlp.to_disk(tmp_path / "pipeline")
    config = pretrain_config({"source": str(tmp_path / "pipeline")}, tmp_path)
    (tmp_path / "out").mkdir()
    pretrain(config.interpolate(), tmp_path / "out")
    losses = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").open()]
    assert len(losses) == 3 and np.isfinite(losses[-1]["loss"])
    other = pipeline(path=tmp_path / "out" / "model-last.bin")
    toys.initialize(other)
    for mine, before in zip(rows(other), rows(nlp), strict=True):
        assert mine.shape == before.shape and np.isfinite(mine).all()
        assert np.abs(mine - before).max() > 1e-4


def test_spacy_pretrain_does_not_start_one_from_nothing(tmp_path):
    blank = toys.empty_pipeline("unused").config["components"][NAME]
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="E401"):
        pretrain(pretrain_config(blank, tmp_path).interpolate(), tmp_path / "out", skip_last=True)
