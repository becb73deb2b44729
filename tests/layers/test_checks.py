import pytest
import spacy

import spacy_llm_tasks.pipeline.ner
import spacy_llm_tasks.pipeline.textcat  # noqa: F401

HEADS = {"trf_ner": "SpanHead", "trf_textcat": "TextCatHead"}


@pytest.mark.parametrize(
    "factory, settings, named",
    [
        ("trf_ner", {"head_width": 7}, "head_width"),
        ("trf_ner", {"head_width": 0}, "head_width"),
        ("trf_ner", {"hidden_width": -1}, "hidden_width"),
        ("trf_ner", {"dropout": 1.5}, "dropout"),
        ("trf_ner", {"features": ["SHAPE", "SHAPEX"]}, r"features.*SUFFIX.*found \['SHAPEX'\]"),
        ("trf_textcat", {"hidden_width": -1}, "hidden_width"),
        ("trf_textcat", {"ngram_size": -2}, "ngram_size"),
    ],
)
def test_a_size_out_of_range_is_named(factory, settings, named):
    with pytest.raises(ValueError, match=f"E425.*{named}"):
        spacy.blank("en").add_pipe(factory, config={"model": settings})


@pytest.mark.parametrize("size", [0, -3])
def test_a_span_has_at_least_one_token(size):
    with pytest.raises(ValueError, match="E425.*max_span"):
        spacy.blank("en").add_pipe("trf_ner", config={"max_span": size})
