"""Made-up collections: entries whose every field can be told from their number, and vectors."""

import numpy as np

from spacy_llm_tasks.search import Entry

WORDS = "amber basil cedar delta ember fjord grove haven inlet juniper".split()


def clustered(n, width, *, n_groups=None, noise=0.6, seed=0):
    """Unit vectors around random centres, as embeddings of texts on some topics are."""
    rng = np.random.default_rng(seed)
    n_groups = n_groups or max(1, n // 20)
    centres = rng.standard_normal((n_groups, width), dtype=np.float32)
    vectors = centres[rng.integers(0, n_groups, n)]
    vectors += noise * rng.standard_normal((n, width), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def entry(i):
    word = WORDS[i % len(WORDS)]
    tags = ["a", "b"] if i % 3 == 0 else ["b"]
    return Entry(
        id=f"e{i}",
        text=f"Number {i} is about {word}.",
        start_char=i,
        end_char=i + 5,
        doc_id=f"d{i // 10}",
        ents=(("PLANT", word.title()),) if i % 2 else (("PLACE", word.title()), ("YEAR", "1999")),
        cats={"even": float(i % 2 == 0), "size": i / 1000},
        meta={
            "year": 2000 + i % 5,
            "tags": tags,
            "odd": bool(i % 2),
        },
    )


def entries(n, start=0):
    return [entry(i) for i in range(start, start + n)]


def brute_force(vectors, query, k):
    scores = vectors @ query
    return np.argsort(-scores, kind="stable")[:k], np.sort(scores)[::-1][:k]
