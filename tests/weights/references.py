"""Small models of another library, randomly initialised, against which ours are compared."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.weights.checkpoint import load_encoder

LENGTHS = [5, 1, 20, 12, 30, 3]
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "vocab_size": 60,
}
DISTIL = {
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 48,
    "vocab_size": 60,
    "max_position_embeddings": 40,
}
MODERN = {
    **SMALL,
    "num_hidden_layers": 3,
    "global_attn_every_n_layers": 1,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "cls_token_id": 2,
    "eos_token_id": 3,
    "sep_token_id": 3,
    "reference_compile": False,
}
WITH_BIASES = {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True}
SILU = {"hidden_activation": "silu", "classifier_activation": "silu"}
# More blocks than one see the whole text only because the window is as wide as the text.
WIDE = {"global_attn_every_n_layers": 3, "local_attention": 80, "global_rope_theta": 10000.0}
ENCODERS = {
    "bert": ("Bert", SMALL),
    "bert-relu": ("Bert", {**SMALL, "hidden_act": "relu", "layer_norm_eps": 1e-6}),
    "bert-tanh": ("Bert", {**SMALL, "hidden_act": "gelu_new"}),
    "roberta": ("Roberta", {**SMALL, "type_vocab_size": 1}),
    "roberta-pad": ("Roberta", {**SMALL, "pad_token_id": 4, "bos_token_id": 5, "eos_token_id": 6}),
    "electra": ("Electra", {**SMALL, "embedding_size": 16}),
    "electra-square": ("Electra", {**SMALL, "embedding_size": 32}),
    "distilbert": ("DistilBert", DISTIL),
    "distilbert-waves": ("DistilBert", {**DISTIL, "sinusoidal_pos_embds": True}),
    "modernbert": ("ModernBert", MODERN),
    "modernbert-biases": ("ModernBert", {**MODERN, **WITH_BIASES, "global_rope_theta": 500.0}),
    "modernbert-silu": ("ModernBert", {**MODERN, **SILU, "norm_eps": 1e-6}),
    "modernbert-wide": ("ModernBert", {**MODERN, **WIDE}),
}


def shaken(model):
    """A model in evaluation, with weights and biases large enough to matter."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def make_reference(name, head=""):
    """A small encoder of the other library."""
    transformers = pytest.importorskip("transformers")
    family, settings = ENCODERS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**settings)
    return shaken(getattr(transformers, f"{family}{head or 'Model'}")(config))


def saved(model, folder):
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def load(folder):
    checkpoint = load_encoder(folder)
    encoder = TransformerEncoder(checkpoint.config).eval()
    encoder.load_state_dict(checkpoint.state)
    return encoder


def changed(*modules):
    """Scale all parameters, so that what is written next cannot be the file they came from."""
    with torch.no_grad():
        for parameter in {p for module in modules for p in module.parameters()}:
            parameter.mul_(1.1)


def draw_sequences(lengths=LENGTHS, *, seed=0, n_pieces=60):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(7, n_pieces, (n,), generator=generator) for n in lengths]


def padded(sequences, pad):
    """Ids and mask as rectangles."""
    ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=pad)
    mask = torch.zeros_like(ids)
    for line, sequence in zip(mask, sequences, strict=True):
        line[: len(sequence)] = 1
    return {"input_ids": ids, "attention_mask": mask}


@torch.no_grad()
def padded_rows(model, sequences):
    """The other library's last hidden state, padding taken out: (T, W)."""
    batch = padded(sequences, model.config.pad_token_id)
    return model(**batch).last_hidden_state[batch["attention_mask"].bool()]


@torch.no_grad()
def padded_logits(model, sequences):
    """The other library's predictions, padding taken out: (T, n_pieces)."""
    batch = padded(sequences, model.config.pad_token_id or 0)
    return model(**batch).logits[batch["attention_mask"].bool()]


def packing_of(sequences):
    return Packing.from_lengths([len(sequence) for sequence in sequences])


@torch.no_grad()
def packed_rows(encoder, sequences):
    return encoder(torch.cat(sequences), packing_of(sequences)).last


def difference(ours, theirs):
    assert ours.shape == theirs.shape
    assert theirs.abs().max() > 0.1, "a difference of zeros says nothing"
    return float((ours - theirs).detach().abs().max())


def set_config(folder, **values):
    path = folder / "config.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, **values}))


def rewrite(folder, change):
    """Replace the tensors of a checkpoint."""
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file(change(tensors), path)


def without(*names):
    return lambda tensors: {key: value for key, value in tensors.items() if key not in names}
