"""A ModernBERT folder as others save it becomes the encoder of a pipeline, and goes back."""

import json

import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy.training import Example
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.tokenization import PieceTokenizer

from .references import MODERN, shaken

WORDS = "the a boat sails from pell to lorne bay every spring marta and ivo wait".split()
TEXT = "marta sails from pell to lorne bay and ivo waits"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def make_tokenizer():
    vocab = {piece: i for i, piece in enumerate([*SPECIAL, *WORDS, "##s"])}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer


@pytest.fixture
def folder(tmp_path):
    """What the other library writes: model and tokenizer, with its own truncation and padding."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.ModernBertModel(transformers.ModernBertConfig(**MODERN))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=make_tokenizer(),
        **{f"{token.strip('[]').lower()}_token": token for token in SPECIAL},
        model_max_length=40,
    )
    path = tmp_path / "modernbert"
    shaken(model).save_pretrained(path)
    tokenizer.save_pretrained(path)
    assert "vocab.txt" not in {file.name for file in path.iterdir()}
    return path


def pipeline_on(folder):
    nlp = spacy.blank("en")
    nlp.add_pipe("trf_encoder", name="transformer")
    nlp.config["initialize"]["components"]["transformer"] = {"weights": str(folder)}
    doc = Doc(nlp.vocab, words=TEXT.split())
    nlp.initialize(lambda: [Example(doc, doc.copy())])
    return nlp


@torch.no_grad()
def their_rows(folder):
    """One row per piece of the text, special pieces taken out."""
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    batch = tokenizer(TEXT, return_tensors="pt", return_token_type_ids=False)
    rows = model(**batch).last_hidden_state[0]
    return rows[1:-1]


def test_the_tokenizer_of_the_folder(folder):
    transformers = pytest.importorskip("transformers")
    pieces = PieceTokenizer.from_folder(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert pieces.encode([TEXT]).ids.tolist() == theirs(TEXT, add_special_tokens=False)["input_ids"]
    assert (pieces.special.cls, pieces.special.sep, pieces.special.pad) == (2, 3, 0)
    assert (pieces.special.unk, pieces.special.mask) == (1, 4)


def test_a_pipeline_starts_from_the_folder(folder):
    nlp = pipeline_on(folder)
    rows = their_rows(folder)
    n_words = len(TEXT.split())
    assert len(rows) == n_words + 1  # "waits" is two pieces
    tensor = torch.from_numpy(nlp(TEXT).tensor)
    assert (tensor[: n_words - 1] - rows[: n_words - 1]).abs().max() < 1e-5


def test_a_pipeline_is_exported_as_modernbert(folder, tmp_path):
    nlp = pipeline_on(folder)
    nlp.to_disk(tmp_path / "pipeline")
    out = tmp_path / "out"
    arguments = ["weights", "export", str(tmp_path / "pipeline"), "--output", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    raw = json.loads((out / "config.json").read_text())
    assert (raw["model_type"], raw["architectures"]) == ("modernbert", ["ModernBertModel"])
    assert (raw["cls_token_id"], raw["sep_token_id"], raw["pad_token_id"]) == (2, 3, 0)
    assert torch.equal(their_rows(out), their_rows(folder))
    refused = CliRunner().invoke(app, [*arguments, "--family", "bert"])
    assert refused.exit_code == 1 and "positions = 'rope'" in refused.output
