"""Small checkpoints with random weights: ours, and those of another library."""

import random
from functools import cache

import pytest
import torch

from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.nn.presets import preset
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder
from spacy_llm_tasks.tokenization import train_tokenizer
from spacy_llm_tasks.weights.checkpoint import save_encoder
from spacy_llm_tasks.weights.decoders import save_decoder
from spacy_llm_tasks.weights.family import Boundaries
from spacy_llm_tasks.weights.seq2seq import save_seq2seq

WORDS = "the a cat dog river was runs sleeps sleeping on in near old été house garden of".split()
# Every letter at the start of a word and inside one, so that any word can be spelled.
LETTERS = "abcdefghijklmnopqrstuvwxyz zyxwvutsrqponmlkjihgfedcba " + " ".join("bcdefghjklmnoprst")
SIZES = {"wordpiece": 110, "bpe": 320, "unigram": 80}
SMALL = {"width": 32, "depth": 2, "n_heads": 4, "max_length": 40}
# The same for the other library.
THEIRS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}


@cache
def tokenizer_of(kind):
    chooser = random.Random(0)
    texts = [" ".join(chooser.choices(WORDS, k=9)).capitalize() + "." for _ in range(200)]
    texts += [LETTERS] * 3
    return train_tokenizer(texts, kind=kind, size=SIZES[kind])


@torch.no_grad()
def shaken(*modules):
    """Weights and biases large enough to matter."""
    torch.manual_seed(1)
    for parameter in dict.fromkeys(p for module in modules for p in module.parameters()):
        parameter.add_(torch.randn_like(parameter) * 0.2)
    return modules


def our_encoder(folder, *, tokenizer="bpe", head=True, **settings):
    cutter = tokenizer_of(tokenizer)
    config = preset("encoder", "tiny", n_pieces=cutter.n_pieces, **{**SMALL, **settings})
    parts = shaken(TransformerEncoder(config), PieceHead(config, transform=True, bias=True))
    save_encoder(folder, parts[0], family="modernbert", head=parts[1] if head else None)
    cutter.to_folder(folder)
    return folder


def our_decoder(folder, *, tokenizer="bpe", **settings):
    cutter = tokenizer_of(tokenizer)
    config = preset("decoder", "tiny", n_pieces=cutter.n_pieces, **{**SMALL, **settings})
    save_decoder(folder, *shaken(TransformerDecoder(config)), boundaries=_boundaries(cutter))
    cutter.to_folder(folder)
    return folder


def our_seq2seq(folder, *, tokenizer="bpe", bias=None, **settings):
    cutter = tokenizer_of(tokenizer)
    config = preset("seq2seq", "tiny", n_pieces=cutter.n_pieces, **{**SMALL, **settings})
    head = PieceHead(config, transform=False, bias=True)
    model, _ = shaken(EncoderDecoder(config, config), head)
    for piece, value in (bias or {}).items():
        head.bias.data[piece] = value
    save_seq2seq(folder, model, head=head, boundaries=_boundaries(cutter))
    cutter.to_folder(folder)
    return folder


def _boundaries(cutter):
    special = cutter.special
    return Boundaries(start=special.cls, end=special.sep, decoder_start=special.sep)


def their_model(folder, name, *, tokenizer, **settings):
    """A random model of the other library with one of our tokenizers, saved."""
    transformers = pytest.importorskip("transformers")
    cutter = tokenizer_of(tokenizer)
    special = cutter.special
    family = next(f for f in ("Bert", "Roberta", "Electra", "GPT2", "Bart") if name.startswith(f))
    config = getattr(transformers, f"{family}Config")(
        vocab_size=cutter.n_pieces,
        pad_token_id=special.pad,
        bos_token_id=special.cls,
        eos_token_id=special.sep,
        **settings,
    )
    (model,) = shaken(getattr(transformers, name)(config))
    model.eval().save_pretrained(folder, safe_serialization=True)
    cutter.to_folder(folder)
    return model
