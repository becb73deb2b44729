"""A pipeline that trains in a second: stock components on a stock encoder, one head in torch."""

import random
from pathlib import Path
from typing import Any

import spacy
from spacy import registry
from spacy.tokens import Doc, DocBin, Span
from spacy.training.initialize import init_nlp
from spacy.util import load_config_from_str
from thinc.api import (
    Model,
    PyTorchWrapper,
    chain,
    list2ragged,
    reduce_mean,
)
from torch import nn

CONFIG = """
[paths]
train = null
dev = null

[system]
seed = 7
gpu_allocator = null

[nlp]
lang = "en"
pipeline = ["tok2vec","ner","textcat"]

[components]

[components.tok2vec]
factory = "tok2vec"

[components.tok2vec.model]
@architectures = "spacy.HashEmbedCNN.v2"
width = 16
depth = 1
embed_size = 64
window_size = 1
maxout_pieces = 2
subword_features = true
pretrained_vectors = null

[components.ner]
factory = "ner"
update_with_oracle_cut_size = 4

[components.ner.model]
@architectures = "spacy.TransitionBasedParser.v2"
state_type = "ner"
extra_state_tokens = false
hidden_width = 16
maxout_pieces = 2
use_upper = true
nO = null

[components.ner.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 16
upstream = "*"

[components.textcat]
factory = "textcat"

[components.textcat.model]
@architectures = "toy.TorchTextcat.v1"
width = 16
nO = 2

[components.textcat.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 16
upstream = "*"

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}
gold_preproc = false
max_length = 0

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}
gold_preproc = false
max_length = 0

[training]
seed = ${system.seed}
gpu_allocator = ${system.gpu_allocator}
dropout = 0.2
accumulate_gradient = 2
patience = 0
max_epochs = 0
max_steps = 12
eval_frequency = 4
frozen_components = []
annotating_components = []
dev_corpus = "corpora.dev"
train_corpus = "corpora.train"

[training.score_weights]
ents_f = 0.5
cats_score = 0.5

[training.logger]
@loggers = "spacy.ConsoleLogger.v1"

[training.batcher]
@batchers = "spacy.batch_by_words.v1"
discard_oversize = false
tolerance = 0.2

[training.batcher.size]
@schedules = "compounding.v1"
start = 20
stop = 60
compound = 1.1

[training.optimizer]
@optimizers = "spacy_llm_tasks.AdamW.v1"
weight_decay = 0.01

[training.optimizer.learn_rate]
@schedules = "warmup_linear.v1"
initial_rate = 0.01
warmup_steps = 3
total_steps = 40
"""

NAMES = ["Orla", "Bente", "Tamsin", "Ivo", "Quill"]
PLACES = ["Vask", "Lorne", "Pell", "Umbra"]
VERBS = {"TRAVEL": ["visited", "left", "reached"], "TRADE": ["bought", "sold", "valued"]}


class Mean(nn.Module):
    def __init__(self, width: int, n_labels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.dropout = nn.Dropout(0.1)
        self.output = nn.Linear(width, n_labels)

    def forward(self, X):
        return self.output(self.dropout(self.hidden(X).relu())).softmax(dim=-1)


@registry.architectures("toy.TorchTextcat.v1")
def build_torch_textcat(tok2vec: Model, width: int, nO: int) -> Model:
    model = chain(tok2vec, list2ragged(), reduce_mean(), PyTorchWrapper(Mean(width, nO)))
    model.set_ref("tok2vec", tok2vec)
    model.set_ref("output_layer", model.layers[-1])
    model.attrs["multi_label"] = False
    return model


def make_docs(n: int, seed: int, *, annotated: bool = True) -> list[Doc]:
    rng = random.Random(seed)
    nlp = spacy.blank("en")
    docs = []
    for _ in range(n):
        label = rng.choice(list(VERBS))
        words = [rng.choice(NAMES), rng.choice(VERBS[label]), rng.choice(PLACES)]
        words += ["again"] * rng.randint(0, 4) + ["."]
        doc = Doc(nlp.vocab, words=words)
        if annotated:
            doc.ents = [Span(doc, 0, 1, "PERSON"), Span(doc, 2, 3, "GPE")]
            doc.cats = {name: float(name == label) for name in VERBS}
        docs.append(doc)
    return docs


def write_corpora(folder: Path) -> dict[str, str]:
    """RETURNS (dict): Overrides that point a config at the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, n, seed in (("train", 30, 1), ("dev", 8, 2)):
        path = folder / f"{name}.spacy"
        DocBin(docs=make_docs(n, seed)).to_disk(path)
        paths[f"paths.{name}"] = str(path)
    return paths


def initialized(overrides: dict[str, Any], text: str = CONFIG):
    config = load_config_from_str(text, overrides=overrides, interpolate=False)
    return init_nlp(config)


def weights_of(nlp) -> dict[str, bytes]:
    return {name: proc.model.to_bytes() for name, proc in nlp.components if hasattr(proc, "model")}
