"""Small things to test components with: a tokenizer, an encoder, gold of every kind, a toy task.

Nothing here imports pytest, so that a fresh process can use it too.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Model
from tokenizers import BertWordPieceTokenizer
from torch import nn

import spacy_llm_tasks.pipeline.ner
import spacy_llm_tasks.pipeline.qa
import spacy_llm_tasks.pipeline.relation
import spacy_llm_tasks.pipeline.similarity
import spacy_llm_tasks.pipeline.textcat  # noqa: F401  (their import registers the factories)
from spacy_llm_tasks.annotations import set_pair, set_questions, set_relations
from spacy_llm_tasks.layers.task_head import task_model
from spacy_llm_tasks.pipeline.register import register_task
from spacy_llm_tasks.pipeline.task import Task
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.training.optimizer import make_adamw

WIDTH = 16
ENCODER: dict[str, Any] = {
    "@architectures": "spacy_llm_tasks.Transformer.v1",
    "width": WIDTH,
    "depth": 2,
    "n_heads": 2,
    "max_length": 32,
    "window": 12,
    "stride": 8,
}
LISTENER = {"@architectures": "spacy_llm_tasks.Listener.v1"}
STOCK_LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH}
TRF_LISTENER = {
    "@architectures": "spacy-transformers.TransformerListener.v1",
    "grad_factor": 1.0,
    "pooling": {"@layers": "reduce_mean.v1"},
}

TEXTS = [
    "Old Marta Quill sails from Pell to Lorne Bay every spring .",
    "Why did Ivo Brandt leave Vask without a word ?",
]
# Rows: entities as (first token, token after the last, label); tags; categories.
ENTS = [
    [(1, 3, "PERSON"), (5, 6, "PLACE"), (7, 9, "PLACE")],
    [(2, 4, "PERSON"), (5, 6, "PLACE")],
]
TAGS = [
    "ADJ NAME NAME VERB PREP NAME PREP NAME NAME ADV ADV PUNCT".split(),
    "ADV VERB NAME NAME VERB NAME PREP DET NOUN PUNCT".split(),
]
CATS = [{"story": 1.0, "question": 0.0}, {"story": 0.0, "question": 1.0}]
# Rows: relations as (number of the head entity, number of the tail entity, label).
RELATIONS = [[(0, 1, "FROM"), (0, 2, "TO")], [(0, 1, "FROM")]]
PAIRS = [("Every spring Marta goes to the bay .", 0.9), ("The bay is old .", 0.1)]
QUESTIONS = [
    [("a", "Marta sails to a bay ?", [("Lorne Bay", 35)]), ("b", "Why did Ivo leave ?", [])],
    [("c", "Brandt and a word ?", [("without a word", 30)])],
]
# Two trees that name their words' heads by distance from the token.
HEADS = [[3, 3, 1, 3, 3, 4, 3, 8, 6, 10, 3, 3], [4, 4, 4, 2, 4, 4, 4, 8, 6, 4]]
DEPS = [
    "amod nsubj flat ROOT prep pobj prep flat pobj det npadvmod punct".split(),
    "advmod aux nsubj flat ROOT dobj prep det pobj punct".split(),
]

# Docs of every odd shape; all of them go through one batch.
ODD_TEXTS = ["", "   ", "\n", "Pell", "...", "Marta and Ivo met in Lorne Bay . " * 6, *TEXTS]

# Spelled out, because a trained vocabulary differs between processes: its ties fall by chance.
SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
LETTERS = "abcdefghijklmnopqrstuvwxyz.?"
PIECES = """
    old marta qui ##ll sail ##s ##ing from pell to lo ##rne bay every spring
    why did ivo brandt leave va ##sk without a word ##ly un and met in
""".split()


def save_tokenizer(folder: Path) -> Path:
    """Save a small WordPiece tokenizer in the published layout."""
    pieces = [*SPECIAL.values(), *LETTERS, *(f"##{letter}" for letter in LETTERS), *PIECES]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = BertWordPieceTokenizer(vocab, lowercase=True)
    PieceTokenizer(tokenizer._tokenizer, names=SPECIAL).to_folder(folder)
    return folder


def gold_doc(nlp: Language, index: int) -> Doc:
    """A doc that is annotated for every task there is."""
    doc = Doc(
        nlp.vocab,
        words=TEXTS[index].split(),
        tags=TAGS[index],
        heads=HEADS[index],
        deps=DEPS[index],
    )
    doc.ents = [Span(doc, a, z, label=label) for a, z, label in ENTS[index]]
    doc.cats = dict(CATS[index])
    doc.spans["sc"] = list(doc.ents)
    set_relations(doc, [(doc.ents[h], doc.ents[t], label) for h, t, label in RELATIONS[index]])
    set_pair(doc, PAIRS[index])
    set_questions(doc, QUESTIONS[index])
    outer = Span(doc, ENTS[index][0][0], ENTS[index][-1][1], label="JOURNEY")
    doc.spans["trf_ner"] = [*doc.ents, outer]
    return doc


def examples(nlp: Language) -> list[Example]:
    gold = [gold_doc(nlp, i) for i in range(len(TEXTS))]
    return [Example(Doc(nlp.vocab, words=[t.text for t in doc]), doc) for doc in gold]


def unannotated(nlp: Language) -> list[Example]:
    docs = [Doc(nlp.vocab, words=text.split()) for text in TEXTS]
    return [Example(doc, doc.copy()) for doc in docs]


def empty_pipeline(tokenizer: Path, *, name: str = "transformer", **settings: Any) -> Language:
    """A pipeline with an encoder, not initialised."""
    nlp = spacy.blank("en")
    nlp.add_pipe("trf_encoder", name=name, config={"model": {**ENCODER, **settings}})
    nlp.config["initialize"]["components"][name] = {"tokenizer": str(tokenizer)}
    return nlp


def initialize(nlp: Language, get_examples: Callable[[], Iterable[Example]] | None = None) -> Any:
    fix_random_seed(1)
    nlp.initialize(get_examples or (lambda: examples(nlp)))
    return make_adamw(learn_rate=0.01, encoder_scale=0.5)


def overfit(nlp: Language, *, steps: int, **options: Any) -> dict[str, float]:
    """RETURNS (dict): The losses of the last step."""
    optimizer = initialize(nlp)
    losses: dict[str, float] = {}
    for _ in range(steps):
        losses = {}
        nlp.update(examples(nlp), sgd=optimizer, losses=losses, **options)
    return losses


def snapshot(doc: Doc) -> dict[str, Any]:
    """Everything that a component may have predicted, as plain values."""
    groups = {
        key: [
            [(s.start, s.end, s.label_) for s in group],
            [float(x) for x in group.attrs.get("scores", [])],
        ]
        for key, group in doc.spans.items()
    }
    return {
        "ents": [[e.start, e.end, e.label_, e._.confidence] for e in doc.ents],
        "tags": [t.tag_ for t in doc],
        "deps": [[t.dep_, t.head.i] for t in doc],
        "cats": {k: float(v) for k, v in doc.cats.items()},
        "spans": groups,
        "tensor": torch.as_tensor(doc.tensor).tolist(),
        "relations": [
            [[h.start, h.end, h.label_], [t.start, t.end, t.label_], label, score]
            for h, t, label, score in doc._.relations
        ],
        "embedding": [] if doc._.embedding is None else doc._.embedding.tolist(),
        "shout": doc.user_data.get("toy.shout"),
    }


# A toy task, written with nothing but the public task API ----------------------------------------


class ShoutHead(nn.Module):
    def __init__(self, *, width: int, n_labels: int) -> None:
        super().__init__()
        self.scores = nn.Linear(width, n_labels)

    def forward(self, batch):
        return self.scores(batch.rows)


def build_shout_head(tok2vec: Model) -> Model:
    return task_model(tok2vec, ShoutHead)


spacy.registry.architectures("toy.ShoutHead.v1", func=build_shout_head)


@register_task(
    "toy_shout",
    model={"@architectures": "toy.ShoutHead.v1", "tok2vec": LISTENER},
    score_weights={"shout_acc": 1.0},
)
@dataclass(kw_only=True)
class ShoutTask(Task):
    """Marks every token with a tag, in capitals if wanted.

    capitals (bool): Write the marks in capitals.
    """

    capitals: bool = True

    def labels_of(self, example: Example) -> Iterable[str]:
        return {token.tag_ for token in example.reference if token.tag_}

    def targets(self, examples: Sequence[Example]) -> Any:
        number = {label: i for i, label in enumerate(self.labels)}
        tags = [tag for eg in examples for tag in eg.get_aligned("TAG", as_string=True)]
        gold = torch.tensor([number.get(tag, -100) for tag in tags])
        return gold if (gold >= 0).any() else None

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits, targets)

    def decode(self, logits: torch.Tensor, docs: Sequence[Doc]) -> list[Any]:
        names = [self.labels[i] for i in logits.argmax(dim=1).tolist()]
        ends = torch.tensor([len(doc) for doc in docs]).cumsum(0).tolist()
        return [names[end - len(doc) : end] for end, doc in zip(ends, docs, strict=True)]

    def annotate(self, doc: Doc, prediction: list[str]) -> None:
        doc.user_data["toy.shout"] = [p.upper() if self.capitals else p for p in prediction]

    def score(self, examples: Iterable[Example]) -> dict[str, Any]:
        pairs = [
            (found, token.tag_.upper())
            for eg in examples
            for found, token in zip(eg.predicted.user_data["toy.shout"], eg.reference, strict=False)
            if token.tag_
        ]
        return {"shout_acc": sum(a == b for a, b in pairs) / len(pairs) if pairs else None}
