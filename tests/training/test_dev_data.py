"""The dev data of a pipeline is read by its own config."""

import spacy
from spacy.tokens import DocBin

from spacy_llm_tasks.training.dev_data import dev_examples


def test_the_corpus_that_the_config_names_is_read(tmp_path):
    nlp = spacy.blank("en")
    nlp.config["corpora"] = {}
    for name, texts in (("train", ["One barge."]), ("held", ["Two ferries.", "A jetty."])):
        docs = [nlp(text) for text in texts]
        DocBin(docs=docs).to_disk(tmp_path / f"{name}.spacy")
        settings = {"gold_preproc": False, "max_length": 0, "limit": 0, "augmenter": None}
        reader = {"@readers": "spacy.Corpus.v1", "path": f"${{paths.folder}}/{name}.spacy"}
        nlp.config["corpora"][name] = {**reader, **settings}
    nlp.config["paths"]["folder"] = str(tmp_path)
    nlp.config["training"]["dev_corpus"] = "corpora.held"
    found = dev_examples(nlp)
    assert [eg.reference.text for eg in found] == ["Two ferries.", "A jetty."]
    assert all(eg.predicted.vocab is nlp.vocab for eg in found)
