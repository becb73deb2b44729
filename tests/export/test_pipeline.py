"""An exported pipeline does what the pipeline did that it was exported from, in onnxruntime."""

import copy
import json
import pickle

import numpy as np
import pytest
import spacy
import srsly
import torch
from pipeline import toys
from thinc.api import Config
from typer.testing import CliRunner

from spacy_llm_tasks import packages
from spacy_llm_tasks.cli import app
from spacy_llm_tasks.export import pipeline as exporting
from spacy_llm_tasks.export.onnx_file import quantise
from spacy_llm_tasks.export.pipeline import ARCHITECTURE, export_pipeline
from spacy_llm_tasks.layers.encoder import shim_of
from spacy_llm_tasks.pipeline.encoder_files import export_checkpoint

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

GRAPH = "transformer/encoder/model.onnx"
LONG = "Marta Quill sails from Pell to Lorne Bay . " * 30
TEXTS = [*toys.ODD_TEXTS, LONG, "x" * 300, *(f"Ivo met Marta {'in Pell ' * n}." for n in range(9))]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A trained pipeline and what the command makes of it."""
    folder = tmp_path_factory.mktemp("exported")
    tokenizer = toys.save_tokenizer(folder / "tokenizer")
    nlp = toys.empty_pipeline(tokenizer, max_length=64, window=40, stride=30, positions="rope")
    private = {"model": {"tok2vec": {**toys.LISTENER, "private_layers": 1}}}
    for name, config in {
        "trf_ner": private, "trf_textcat": {}, "trf_relation": {}, "trf_qa": {},
        "trf_similarity": {},
    }.items():  # fmt: skip
        nlp.add_pipe(name, config=config)
    toys.overfit(nlp, steps=3)
    nlp.to_disk(folder / "trained")
    command = ["export", str(folder / "trained"), str(folder / "onnx"), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    (folder / "said.json").write_text(result.stdout, encoding="utf8")
    return folder


@pytest.fixture(scope="module")
def trained(folders):
    return spacy.load(folders / "trained")


@pytest.fixture
def exported(folders):
    return spacy.load(folders / "onnx")


def same(found, expected):
    """The same annotations, numbers to 1e-5."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-5, rel=1e-5)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            same(a, b)
    else:
        assert found == expected


def snapshots(nlp, **options):
    return [toys.snapshot(doc) for doc in nlp.pipe(TEXTS, **options)]


def test_what_was_written(folders):
    said = json.loads((folders / "said.json").read_text(encoding="utf8"))
    assert said["encoders"] == {"transformer": ["last_hidden_state", "last_hidden_state.trf_ner"]}
    heads = {"trf_ner": "spans", "trf_textcat": "scores", "trf_qa": "answers"}
    assert said["heads"] == {**heads, "trf_similarity": "vectors"}
    assert said["left"] == {"trf_relation": "scores what a plan in Python lists for each batch"}
    assert set(said["differences"]) == {"transformer", *said["heads"]}
    assert all(0 <= value <= 1e-5 for value in said["differences"].values())
    files = {p.relative_to(folders / "onnx").as_posix() for p in (folders / "onnx").rglob("*")}
    assert GRAPH in files and "transformer/encoder/tokenizer.json" in files
    assert {f"{name}/head.onnx" for name in said["heads"]} <= files
    assert not any(name.endswith(".safetensors") for name in files)
    config = Config().from_disk(folders / "onnx" / "config.cfg", interpolate=False)
    model = config["components"]["transformer"]["model"]
    assert model == {"@architectures": ARCHITECTURE, "window": 40, "stride": 30}
    meta = srsly.read_json(folders / "onnx" / "meta.json")
    assert "onnxruntime>=1.17" in meta["requirements"]


def test_all_tasks(trained, exported):
    same(snapshots(exported), snapshots(trained))
    questions = ["Who left ?", "Where is the bay ?"]
    for text in (toys.TEXTS[0], LONG):
        found, expected = ([nlp(text)._.ask(q) for q in questions] for nlp in (exported, trained))
        for a, b in zip(found, expected, strict=True):
            assert (a.text, a.start_char) == (b.text, b.start_char)
            assert a.score == pytest.approx(b.score, abs=1e-5)
    embedded = [nlp.get_pipe("trf_similarity").embed(TEXTS[3:]) for nlp in (exported, trained)]
    np.testing.assert_allclose(*embedded, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_any_batch(exported, batch_size):
    same(snapshots(exported, batch_size=batch_size), snapshots(exported))


def test_any_order(exported):
    backwards = [toys.snapshot(doc) for doc in exported.pipe(TEXTS[::-1])]
    same(backwards[::-1], snapshots(exported))


def test_saved_again_and_copied(exported, folders, tmp_path):
    expected = snapshots(exported)
    exported.to_disk(tmp_path)
    assert (tmp_path / GRAPH).read_bytes() == (folders / "onnx" / GRAPH).read_bytes()
    assert snapshots(spacy.load(tmp_path)) == expected
    again = spacy.blank("en").from_config(exported.config).from_bytes(exported.to_bytes())
    assert snapshots(again) == expected
    assert snapshots(pickle.loads(pickle.dumps(exported))) == expected
    assert snapshots(copy.deepcopy(exported)) == expected


def test_listener_replaced(exported, trained, tmp_path):
    exported.replace_listeners("transformer", "trf_textcat", ["model.tok2vec"])
    exported.to_disk(tmp_path)
    same(snapshots(spacy.load(tmp_path)), snapshots(trained))


def test_several_processes(folders, trained):
    override = {"components.transformer.model.n_threads": 2}
    nlp = spacy.load(folders / "onnx", config=override)
    same(snapshots(nlp), snapshots(trained))  # warm: with threads that no child inherits
    same(snapshots(nlp, n_process=2, batch_size=4), snapshots(trained))


def test_not_trained(exported, tmp_path):
    sgd = toys.make_adamw(0.01)
    with pytest.raises(ValueError, match="E905.*cannot be trained"):
        exported.update(toys.examples(exported), sgd=sgd)
    frozen = {"exclude": ["transformer"], "annotates": ["transformer"]}
    losses = exported.update(toys.examples(exported), sgd=sgd, losses={}, **frozen)
    assert losses["trf_textcat"] > 0
    with pytest.raises(ValueError, match="E902"):
        exported.initialize(lambda: toys.examples(exported))
    with pytest.raises(ValueError, match="E902"):
        export_checkpoint(exported.get_pipe("transformer").model, tmp_path)


def test_what_was_not_exported(exported):
    encoder = shim_of(exported.get_pipe("transformer").model).encoder
    with pytest.raises(ValueError, match="E903.*'layer_1'.*last_hidden_state.trf_ner"):
        encoder.session().read(np.array([1]), np.array([1]), outputs=["layer_1"])
    with pytest.raises(ValueError, match="E904"):
        encoder.read_on(torch.zeros(1, toys.WIDTH), np.array([1]), after=1)
    with pytest.raises(ValueError, match="E902"):
        exported.add_pipe("trf_textcat", name="new", config={
            "model": {"tok2vec": {**toys.LISTENER, "private_layers": 1}}
        })  # fmt: skip
    nothing = encoder.session().read(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert nothing[0].shape == (0, toys.WIDTH)


def test_damaged(folders, tmp_path):
    spacy.load(folders / "onnx").to_disk(tmp_path)
    path = tmp_path / GRAPH
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="E423.*E901"):
        spacy.load(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="E414"):
        spacy.load(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match="E413.*model.onnx"):
        spacy.load(tmp_path)


def test_without_the_runtime(folders, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(packages, "import_module", missing)
    with pytest.raises(ImportError, match=r"E900.*`onnxruntime`.*spacy-llm-tasks\[onnx\]"):
        spacy.load(folders / "onnx")


def test_eight_bits(folders, trained, tmp_path):
    nlp = spacy.load(folders / "onnx")
    nlp.to_disk(tmp_path)
    graph = tmp_path / GRAPH
    quantise(graph)
    products = {node.op_type for node in onnx.load(graph).graph.node}
    assert "MatMulInteger" in products or "DynamicQuantizeMatMul" in products
    config = srsly.read_json(tmp_path / "transformer/encoder/encoder.json")
    del config["weights_sha256"]
    srsly.write_json(tmp_path / "transformer/encoder/encoder.json", config)
    rounded = spacy.load(tmp_path)
    a, b = (np.concatenate([doc.tensor for doc in p.pipe(TEXTS)]) for p in (rounded, trained))
    assert 0 < np.abs(a - b).max() < 0.5


@pytest.fixture
def untrained(folders):
    return toys.empty_pipeline(folders / "tokenizer")


def test_pipelines_that_cannot_be_exported(folders, exported, untrained, tmp_path):
    with pytest.raises(ValueError, match="E906.*sentencizer"):
        nlp = spacy.blank("en")
        nlp.add_pipe("sentencizer")
        export_pipeline(nlp, tmp_path / "new")
    with pytest.raises(ValueError, match="E907"):
        export_pipeline(exported, tmp_path / "new")
    with pytest.raises(ValueError, match="E401"):
        export_pipeline(untrained, tmp_path / "new")
    override = {"components.transformer.model.precision": "bf16"}
    with pytest.raises(ValueError, match="E908.*bf16"):
        export_pipeline(spacy.load(folders / "trained", config=override), tmp_path / "new")
    with pytest.raises(ValueError, match="E912"):
        export_pipeline(spacy.load(folders / "trained"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_deferred_layers(folders, untrained, tmp_path):
    head = {"@architectures": "spacy_llm_tasks.AnswerHead.v1", "tok2vec": toys.LISTENER}
    untrained.add_pipe("trf_qa", config={"model": {**head, "deferred_layers": 1}})
    toys.initialize(untrained)
    with pytest.raises(ValueError, match="E904"):
        export_pipeline(untrained, tmp_path / "new")


def test_a_graph_that_differs_is_not_written(folders, monkeypatch, tmp_path):
    nlp = spacy.load(folders / "trained")

    def other(encoder, path, *, precision):
        path.write_bytes((folders / "onnx" / GRAPH).read_bytes())
        table = shim_of(encoder.model).encoder.transformer.piece_table
        with torch.no_grad():
            table.copy_(table.roll(1, 0))
        return ["last_hidden_state"]

    monkeypatch.setattr(exporting, "_write_encoder", other)
    with pytest.raises(ValueError, match="E909.*'transformer'"):
        export_pipeline(nlp, tmp_path / "new")
    assert not list(tmp_path.iterdir())
    assert shim_of(nlp.get_pipe("transformer").model).weights_file == "model.safetensors"
