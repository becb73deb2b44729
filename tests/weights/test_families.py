import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.weights.checkpoint import load_encoder, read_config, save_encoder

LENGTHS = [5, 1, 20, 12, 30, 3]
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "vocab_size": 60,
}
DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
SPECIMENS = {
    "bert": ("Bert", SMALL),
    "bert-relu": ("Bert", {**SMALL, "hidden_act": "relu", "layer_norm_eps": 1e-6}),
    "roberta": ("Roberta", {**SMALL, "type_vocab_size": 1}),
    "roberta-pad": ("Roberta", {**SMALL, "pad_token_id": 4, "bos_token_id": 5, "eos_token_id": 6}),
    "electra": ("Electra", {**SMALL, "embedding_size": 16}),
    "electra-square": ("Electra", {**SMALL, "embedding_size": 32}),
    "distilbert": ("DistilBert", {**DISTIL, "vocab_size": 60, "max_position_embeddings": 40}),
    "distilbert-waves": (
        "DistilBert",
        {**DISTIL, "vocab_size": 60, "max_position_embeddings": 40, "sinusoidal_pos_embds": True},
    ),
}


def make_reference(name, head=""):
    """A small randomly initialised model of the other library; weights large enough to matter."""
    transformers = pytest.importorskip("transformers")
    family, settings = SPECIMENS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**settings)
    model = getattr(transformers, f"{family}{head or 'Model'}")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def saved(model, folder):
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def load(folder):
    checkpoint = load_encoder(folder)
    encoder = TransformerEncoder(checkpoint.config).eval()
    encoder.load_state_dict(checkpoint.state)
    return encoder


@torch.no_grad()
def padded_rows(model, sequences):
    """The other library's last hidden state, padding taken out: (T, W)."""
    pad = model.config.pad_token_id
    ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=pad)
    mask = torch.zeros_like(ids)
    for line, sequence in zip(mask, sequences, strict=True):
        line[: len(sequence)] = 1
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    return hidden[mask.bool()]


@torch.no_grad()
def packed_rows(encoder, sequences):
    lengths = [len(sequence) for sequence in sequences]
    return encoder(torch.cat(sequences), Packing.from_lengths(lengths)).last


def draw_sequences():
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(7, 60, (n,), generator=generator) for n in LENGTHS]


@pytest.fixture
def bert(tmp_path):
    return saved(make_reference("bert"), tmp_path / "bert")


@pytest.mark.parametrize("kernel", ["plain", "onednn"])
@pytest.mark.parametrize("name", SPECIMENS)
def test_import_gives_the_same_rows(name, kernel, tmp_path):
    if kernel == "onednn" and not kernels.available():
        pytest.skip("this torch has no oneDNN")
    model = make_reference(name)
    encoder = load(saved(model, tmp_path))
    sequences = draw_sequences()
    kernels.use(kernel)
    try:
        ours = packed_rows(encoder, sequences)
    finally:
        kernels.use(None)
    assert (ours - padded_rows(model, sequences)).abs().max() < 1e-5


@pytest.mark.parametrize("name", SPECIMENS)
def test_export_is_loaded_by_the_other_library(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    model = make_reference(name)
    encoder = load(saved(model, tmp_path / "theirs"))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(1.1)  # so that it cannot be the file it came from
    save_encoder(tmp_path / "ours", encoder, family=name.split("-")[0])
    back = transformers.AutoModel.from_pretrained(tmp_path / "ours").eval()
    assert type(back) is type(model)
    sequences = draw_sequences()
    assert (padded_rows(back, sequences) - packed_rows(encoder, sequences)).abs().max() < 1e-5
    again = load(tmp_path / "ours")
    assert again.config == encoder.config
    state = encoder.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in again.state_dict().items())
    names = sorted(path.name for path in (tmp_path / "ours").iterdir())
    assert names == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    "name, head, prefix, ignored",
    [
        ("bert", "ForPreTraining", "bert", "cls.seq_relationship.weight"),
        ("roberta", "ForTokenClassification", "roberta", "classifier.weight"),
        ("electra", "ForPreTraining", "electra", "discriminator_predictions.dense.weight"),
        ("distilbert", "ForMaskedLM", "distilbert", "vocab_transform.weight"),
    ],
)
def test_prefix_and_heads(name, head, prefix, ignored, tmp_path):
    model = make_reference(name, head)
    checkpoint = load_encoder(saved(model, tmp_path))
    assert ignored in checkpoint.ignored
    assert not [key for key in checkpoint.ignored if ".layer." in key]
    assert checkpoint.family == name
    encoder = TransformerEncoder(checkpoint.config).eval()
    encoder.load_state_dict(checkpoint.state)
    sequences = draw_sequences()
    expected = padded_rows(getattr(model, prefix), sequences)
    assert (packed_rows(encoder, sequences) - expected).abs().max() < 1e-5


def rewrite(folder, change):
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file(change(tensors), path)


def test_old_names_of_norms(bert):
    expected = load_encoder(bert).state

    def age(tensors):
        pairs = [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")]
        for new, old in pairs:
            tensors = {key.replace(new, old): tensor for key, tensor in tensors.items()}
        return tensors

    rewrite(bert, age)
    state = load_encoder(bert).state
    assert all(torch.equal(state[key], tensor) for key, tensor in expected.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(bert, dtype):
    rewrite(bert, lambda tensors: {key: tensor.to(dtype) for key, tensor in tensors.items()})
    assert {tensor.dtype for tensor in load_encoder(bert).state.values()} == {torch.float32}


def test_config_translation(bert, tmp_path):
    config = read_config(bert)
    assert (config.width, config.depth, config.n_heads, config.ffn_width) == (32, 2, 4, 48)
    assert (config.max_length, config.position_offset, config.n_segments) == (40, 0, 2)
    roberta = read_config(saved(make_reference("roberta"), tmp_path / "roberta"))
    assert (roberta.max_length, roberta.position_offset, roberta.pad_piece) == (38, 2, 1)
    (tmp_path / "config.json").write_text('{"model_type": "electra", "pad_token_id": null}')
    defaults = read_config(tmp_path)
    assert (defaults.width, defaults.embedding_width, defaults.pad_piece) == (256, 128, 0)


def set_config(folder, **values):
    path = folder / "config.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, **values}))


@pytest.mark.parametrize(
    "values, message",
    [
        ({"model_type": "gpt2"}, "E120.*'gpt2'.*distilbert"),
        ({"model_type": None}, "E120"),
        ({"hidden_act": "gelu_new"}, "E121.*hidden_act.*gelu_new"),
        ({"hidden_act": {"a": 1}}, "E121"),
        ({"position_embedding_type": "relative_key"}, "E121.*relative_key"),
        ({"is_decoder": True}, "E121.*is_decoder"),
        ({"hidden_size": "32"}, "E102.*'width'.*'32'"),
        ({"num_attention_heads": 5}, "E103"),
    ],
)
def test_unsupported_configs(bert, values, message):
    set_config(bert, **values)
    with pytest.raises(ValueError, match=rf"E119.*config\.json.*{message}"):
        load_encoder(bert)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b""])
def test_broken_config(bert, content):
    (bert / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"E112.*config\.json"):
        read_config(bert)


def test_missing_files(bert, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"E111.*nowhere.config\.json"):
        load_encoder(tmp_path / "nowhere")
    (bert / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"E111.*model\.safetensors"):
        load_encoder(bert)
    (bert / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"E113.*pytorch_model\.bin.*save_pretrained"):
        load_encoder(bert)


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_truncated_weights(bert, keep):
    path = bert / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"E114.*model\.safetensors"):
        load_encoder(bert)


def test_tampered_header(bert):
    path = bert / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(
        content[:8] + content[8:].replace(b'"data_offsets":[0,', b'"data_offsets":[9,')
    )
    with pytest.raises(ValueError, match="E114"):
        load_encoder(bert)


def test_missing_parameter(bert):
    key = "encoder.layer.1.attention.self.key.bias"
    rewrite(bert, lambda tensors: {k: v for k, v in tensors.items() if k != key})
    with pytest.raises(ValueError, match=rf"E115.*model\.safetensors.*'{key}'.*\[32\]"):
        load_encoder(bert)


def test_wrong_shape(bert):
    set_config(bert, vocab_size=61)
    with pytest.raises(ValueError, match=r"E116.*word_embeddings.*\[60, 32\].*\[61, 32\]"):
        load_encoder(bert)


def test_quantised_weights(bert):
    key = "encoder.layer.0.intermediate.dense.weight"
    rewrite(bert, lambda tensors: {**tensors, key: tensors[key].to(torch.int8)})
    with pytest.raises(ValueError, match=rf"E117.*{key}.*I8"):
        load_encoder(bert)


def test_more_blocks_than_the_config_says(bert):
    set_config(bert, num_hidden_layers=1)
    with pytest.raises(ValueError, match=r"E118.*encoder\.layer\.1\."):
        load_encoder(bert)


@pytest.mark.parametrize(
    "family, settings, named",
    [
        ("bert", {"n_segments": 2, "positions": "rope"}, "positions"),
        ("bert", {"n_segments": 2, "norm_position": "pre"}, "norm_position"),
        ("bert", {"n_segments": 2, "activation": "geglu"}, "activation"),
        ("bert", {"n_segments": 2, "embedding_width": 8}, "embedding_width"),
        ("roberta", {"n_segments": 1, "position_offset": 0}, "position_offset"),
        ("distilbert", {"n_segments": 2}, "n_segments"),
        ("distilbert", {"norm_eps": 1e-5}, "norm_eps"),
    ],
)
def test_what_a_family_cannot_express(family, settings, named, tmp_path):
    values = {"n_pieces": 20, "width": 16, "depth": 1, "n_heads": 2, **settings}
    encoder = TransformerEncoder(TransformerConfig(**values))
    with pytest.raises(ValueError, match=f"E122.*{family}.*{named} = "):
        save_encoder(tmp_path / "out", encoder, family=family)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="E120"):
        save_encoder(tmp_path / "out", encoder, family="gpt2")


def test_no_segments_are_written_as_one_row_of_zeros(tmp_path):
    config = TransformerConfig(n_pieces=20, width=16, depth=1, n_heads=2, n_segments=0)
    save_encoder(tmp_path, TransformerEncoder(config), family="bert")
    checkpoint = load_encoder(tmp_path)
    assert checkpoint.config.n_segments == 1
    assert checkpoint.state["embeddings.segments.weight"].tolist() == [[0.0] * 16]


def test_nothing_half_written(bert, monkeypatch):
    encoder = load(bert)
    shutil.copy(bert / "model.safetensors", bert / "before")

    def fail(*args, **options):
        raise OSError("disk full")

    monkeypatch.setattr("spacy_llm_tasks.weights.checkpoint.json.dumps", fail)
    with pytest.raises(OSError, match="disk full"):
        save_encoder(bert, encoder, family="bert")
    names = sorted(path.name for path in bert.iterdir())
    assert names == ["before", "config.json", "model.safetensors"]
    assert load_encoder(bert).family == "bert"
