import datetime
from collections import namedtuple

import numpy as np
import pytest
from pipeline import toys

from spacy_llm_tasks.annotate.annotator import Annotator, AnnotatorSettings
from spacy_llm_tasks.annotate.indexing.entry_maker import EntryMaker
from spacy_llm_tasks.annotate.indexing.index_file import IndexFile, IndexFileWriter
from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.annotate.writing.outputs import DEFAULT_PARTS
from spacy_llm_tasks.annotations import set_embedding
from spacy_llm_tasks.indexing import add_docs, fingerprint, new_index

Found = namedtuple("Found", "entries vectors")
TEXTS = [*toys.TEXTS, "", "Pell . Vask ."]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    nlp = toys.empty_pipeline(toys.save_tokenizer(folder / "tokenizer"), window=30, stride=20)
    for factory in ("trf_ner", "trf_similarity"):
        nlp.add_pipe(factory)
    toys.overfit(nlp, steps=30)
    nlp.to_disk(folder / "nlp")
    return nlp, folder / "nlp"


def rows(**columns):
    return [Row(f"d{i}", text, {"n": i, **columns}) for i, text in enumerate(TEXTS)]


def stored(maker, found, path):
    """What an index would be given."""
    with IndexFileWriter(path, maker.origin) as file:
        file.write(found)
    with IndexFile(path) as file:
        ((entries, vectors),) = file.blocks()
    return Found(entries, vectors)


@pytest.mark.parametrize("unit", ["doc", "sent", "ent"])
def test_entries_are_those_of_search_add(trained, tmp_path, unit):
    nlp, _ = trained
    maker = EntryMaker(nlp, unit)
    found = stored(maker, maker(list(nlp.pipe(TEXTS)), rows()), tmp_path / "file")
    sentencizer = nlp.create_pipe("sentencizer")
    docs = [sentencizer(doc) if unit == "sent" else doc for doc in nlp.pipe(TEXTS)]
    with new_index(nlp, tmp_path / "index", unit=unit, precision="float32") as index:
        add_docs(nlp, [(doc, {"n": i, "id": f"d{i}"}) for i, doc in enumerate(docs)], index)
        assert found.entries == list(index.entries()) and len(found.entries) >= 4
        assert np.allclose(found.vectors, index.vectors, atol=1e-6)
    assert maker.origin.fingerprint == fingerprint(nlp) and maker.origin.width == toys.WIDTH


def test_no_entities_no_entries(trained):
    nlp, _ = trained
    (found,) = EntryMaker(nlp, "ent")([nlp.make_doc("so ?")], rows()[:1])
    assert found.lines == [] and found.vectors.shape == (0, toys.WIDTH)


def test_columns_become_json(trained, tmp_path):
    nlp, _ = trained
    maker = EntryMaker(nlp, "doc")
    row = rows(day=datetime.date(2024, 2, 29), share=float("nan"), id="other")[:1]
    found = stored(maker, maker([nlp(TEXTS[0])], row), tmp_path / "file")
    expected = {"n": 0, "day": "2024-02-29", "share": None, "id": "d0"}
    assert found.entries[0].meta == expected


def test_vectors_that_cannot_be_compared_are_refused(trained):
    nlp, _ = trained
    doc = nlp(TEXTS[0])
    for vector, code in ((np.full(toys.WIDTH, np.inf, "f4"), "E608"), (None, "E456")):
        set_embedding(doc, vector)
        with pytest.raises(ValueError, match=code):
            EntryMaker(nlp, "doc")([doc], rows()[:1])


def test_a_document_without_an_entry_is_a_fault_and_costs_no_other_one(trained, monkeypatch):
    _, path = trained
    settings = AnnotatorSettings(pipeline=str(path), parts=(*DEFAULT_PARTS, "sents"), index="sent")
    annotator = Annotator(settings)
    expected = annotator(rows())
    assert [len(one.entries.lines) for one in expected] == [1, 1, 0, 2]
    # Sentences that only the index needs are not in the output.
    assert expected[3].record["sents"] is None
    embed = annotator.nlp.get_pipe("trf_similarity").embed

    def fails(texts):
        if any("Ivo" in text for text in texts):
            raise RuntimeError("cannot read it")
        return embed(texts)

    monkeypatch.setattr(annotator.nlp.get_pipe("trf_similarity"), "embed", fails)
    found = annotator(rows())
    assert (found[1].fault.component, found[1].fault.error) == ("index", "RuntimeError")
    assert found[1].record is None and found[1].entries is None
    for one in (0, 2, 3):
        assert found[one].entries.lines == expected[one].entries.lines
        assert np.allclose(found[one].entries.vectors, expected[one].entries.vectors, atol=1e-5)
