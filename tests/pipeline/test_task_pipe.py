"""What `TaskPipe` refuses and warns of, the same for every task."""

import copy
import warnings

import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example

from . import toys
from .battery import ENCODERS, task_factories


@pytest.fixture(scope="module")
def trained(tokenizer):
    nlp = toys.empty_pipeline(tokenizer, **ENCODERS["trf_qa"])
    nlp.add_pipe("trf_ner")
    toys.overfit(nlp, steps=1)
    return nlp


@pytest.mark.parametrize("factory", sorted(set(task_factories())))
def test_never_initialized(trained, factory):
    nlp = copy.deepcopy(trained)
    pipe = nlp.add_pipe(factory, name="new")
    with pytest.raises(ValueError, match="E453.*'new'"):
        nlp("Pell")
    with pytest.raises(ValueError, match="E453.*'new'"):
        nlp.update(toys.unannotated(nlp))
    pipe.initialize(lambda: toys.examples(nlp), nlp=nlp)
    nlp.update(toys.examples(nlp))
    nlp("Pell")


@pytest.mark.parametrize(
    "upstream, encoder", [("*", "Put a `trf_encoder`"), ("transformer", "Put 'transformer'")]
)
def test_docs_that_no_encoder_has_read(tokenizer, upstream, encoder):
    nlp = toys.empty_pipeline(tokenizer)
    listener = {**toys.LISTENER, "upstream": upstream}
    nlp.add_pipe("trf_ner", name="people", config={"model": {"tok2vec": listener}})
    toys.initialize(nlp)
    with pytest.raises(ValueError, match=f"E407.*reached 'people'.*{encoder}"):
        nlp("Pell", disable=["transformer"])
    with pytest.raises(ValueError, match=f"E407.*reached 'people'.*{encoder}"):
        nlp.update(toys.examples(nlp), exclude=["transformer"])


@pytest.mark.parametrize("upstream, encoder", [("nobody", "'nobody'"), ("*", "a `trf_encoder`")])
def test_no_encoder_to_take_the_width_from(tokenizer, upstream, encoder):
    nlp = toys.empty_pipeline(tokenizer)
    listener = {**toys.LISTENER, "upstream": upstream}
    first = upstream == "*" or None
    nlp.add_pipe("trf_ner", name="people", first=first, config={"model": {"tok2vec": listener}})
    with pytest.raises(ValueError, match=f"E415.*'people' reads from {encoder}"):
        toys.initialize(nlp)


def test_labels_unknown_to_the_head(trained):
    nlp = copy.deepcopy(trained)
    gold = Doc(nlp.vocab, words=["Pell"])
    gold.set_ents([Span(gold, 0, 1, label="MOON")])
    with pytest.warns(UserWarning, match="W419.*'trf_ner'.*MOON"):
        nlp.update([Example(gold.copy(), gold)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp.update([Example(gold.copy(), gold), *toys.examples(nlp)])
