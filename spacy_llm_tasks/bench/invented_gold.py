"""Entities drawn at random, for texts without annotation.

They say nothing about the text, so nothing can be learned from them, but a step of training costs
what it costs with real ones of this number and length.
"""

import random
from collections.abc import Iterable, Sequence

from spacy.language import Language
from spacy.tokens import Doc, Span

# As dense as in annotated abstracts and news: BC5CDR has an entity in 12.6 tokens, most of them of
# one to three.
TOKENS_PER_ENTITY = 12
LENGTHS = (1, 1, 1, 2, 2, 3)
LABELS = ("PERSON", "ORG", "GPE", "DATE", "EVENT", "PRODUCT")


def with_entities(
    nlp: Language, texts: Iterable[str], *, seed: int, labels: Sequence[str] = LABELS
) -> list[Doc]:
    """Tokenize texts and give them random entities, on words only and never overlapping.

    nlp (Language): Tokenizes.
    texts (Iterable[str]): The texts.
    seed (int): Decides the entities, together with the texts.
    labels (Sequence[str]): Their labels, all equally likely.
    RETURNS (list[Doc]): Reference docs.
    """
    rng = random.Random(seed)
    docs = [nlp.make_doc(text) for text in texts]
    for doc in docs:
        doc.set_ents(_draw(doc, rng, labels), default="outside")
    return docs


def _draw(doc: Doc, rng: random.Random, labels: Sequence[str]) -> list[Span]:
    spans: list[Span] = []
    wanted = int(
        len(doc) / TOKENS_PER_ENTITY + rng.random()
    )  # right on average, also for short docs
    free = [token.is_alpha for token in doc]
    for first in rng.sample(range(len(doc)), len(doc)):
        if len(spans) == wanted:
            break
        last = first + rng.choice(LENGTHS)
        if last <= len(doc) and all(free[first:last]):
            spans.append(Span(doc, first, last, label=rng.choice(labels)))
            free[first:last] = [False] * (last - first)
    return sorted(spans, key=lambda span: span.start)
