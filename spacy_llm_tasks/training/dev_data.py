"""The dev data of a pipeline, as its own config names it."""

from spacy.language import Language
from spacy.training import Example
from spacy.util import resolve_dot_names


def dev_examples(nlp: Language) -> list[Example]:
    """Read the corpus that `training.dev_corpus` names.

    nlp (Language): The pipeline, with the config that it was trained by.
    RETURNS (list[Example]): Its examples, not predicted on yet.
    """
    config = nlp.config.interpolate()
    (corpus,) = resolve_dot_names(config, [config["training"]["dev_corpus"]])
    return list(corpus(nlp))
