"""The side `curated`: its recipe, and what is compared of it."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import spacy
from thinc.types import Ragged

from spacy_llm_tasks.bench import curated
from spacy_llm_tasks.bench.inference_sides import Side, pipeline
from spacy_llm_tasks.tokenization import PieceTokenizer

from .data import write_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def test_the_recipe_takes_its_sizes_from_the_weights(weights):
    config = json.loads((weights / "config.json").read_text())
    recipe = curated.recipe(weights, learn_rate=1e-4, updates=10)
    model = recipe.components["transformer"]["model"]
    assert (model["hidden_width"], model["num_hidden_layers"]) == (16, 2)
    assert model["vocab_size"] == config["vocab_size"]
    assert recipe.components["ner"]["model"]["tok2vec"]["width"] == 16
    assert str(weights) not in json.dumps(recipe.to_dict())


def test_other_families_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "roberta"}')
    with pytest.raises(ValueError, match="E593.*bert.*'roberta'"):
        curated.recipe(tmp_path, learn_rate=1e-4, updates=1)


class Rows:
    """Stands for a pipeline of either side."""

    def __init__(self, tokenizer, error=0.0):
        self.tokenizer, self.error, self.nlp, self.asked = tokenizer, error, spacy.blank("en"), []

    def make_doc(self, text):
        return self.nlp(text)

    def __call__(self, text):
        words = [token.text for token in self.nlp(text)]
        self.asked.append(text)
        lengths = self.tokenizer.encode(words).lengths.astype("i")
        states = Ragged(np.full((int(lengths.sum()), 2), self.error, dtype="f"), lengths)
        data = SimpleNamespace(last_hidden_layer_state=states)
        tensor = np.zeros((len(words), 2))
        return SimpleNamespace(tensor=tensor, _=SimpleNamespace(trf_data=data))


def test_texts_of_one_window_and_equal_pieces_are_compared(weights):
    tokenizer = PieceTokenizer.from_folder(weights)
    words = tokenizer.spell(range(tokenizer.n_pieces))
    word = next(w for w in words if w.isalpha() and tokenizer.encode([w]).lengths[0] == 1)
    fits, long, split = " ".join([word] * 94), " ".join([word] * 95), "cannot"  # two tokens
    ours, theirs = Rows(tokenizer), Rows(tokenizer, error=0.25)
    assert curated.short_difference(ours, theirs, [fits, long, split, ""], tokenizer) == 0.25
    assert theirs.asked == [fits]
    assert curated.short_difference(ours, theirs, [long], tokenizer) is None


def test_rows_are_ours_where_the_library_is_installed(weights):
    pytest.importorskip("spacy_curated_transformers")
    ours, theirs = (pipeline(Side(name), weights, seed=0) for name in ("ours", "curated"))
    docs = ["Old Marta sails from Pell to Lorne Bay .", "Why did Ivo leave ?", ""]
    found = curated.short_difference(ours, theirs, docs, PieceTokenizer.from_folder(weights))
    assert found is not None and found < 1e-5
    assert all(doc.has_annotation("ENT_IOB") for doc in theirs.pipe(docs[:2]))
