import spacy

from spacy_llm_tasks import annotations
from spacy_llm_tasks.annotate.reading.columns import Columns
from spacy_llm_tasks.annotate.reading.input_files import InputFile
from spacy_llm_tasks.annotate.reading.inputs import read_rows
from spacy_llm_tasks.annotate.reading.read_settings import ReadSettings
from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.annotate.writing.doc_names import ANSWERS as ANSWERS_KEY
from spacy_llm_tasks.annotate.writing.doc_names import columns_of_doc, id_of_doc
from spacy_llm_tasks.annotate.writing.outputs import PARTS, open_writer, row_of
from spacy_llm_tasks.annotations.store import load
from spacy_llm_tasks.corpora.files import read_docs

from ...annotated import ANSWERS, TEXT, full_doc, row


def test_docs_come_back_with_all_that_they_had(tmp_path):
    path = tmp_path / "shard.spacy"
    with open_writer("spacy", path, columns=Columns(), parts=PARTS) as writer:
        writer.write([row_of(full_doc(), row(year=3), parts=PARTS, answers=ANSWERS)])
        writer.write([row_of(spacy.blank("en")(""), Row("d2", ""), parts=PARTS)])
    first, second = read_docs(path, spacy.blank("en").vocab)
    assert (first.text, second.text) == (TEXT, "")
    assert (id_of_doc(first), id_of_doc(second)) == ("d1", "d2")
    assert (columns_of_doc(first), columns_of_doc(second)) == ({"year": 3}, {})
    assert [(ent.text, ent.label_, ent.kb_id_) for ent in first.ents][2] == ("Rome", "LOC", "Q220")
    assert [ent._.confidence for ent in first.ents] == [0.5, 0.25, None]
    assert len(first._.relations) == 2 and first.cats == {"news": 0.75, "sport": 0.25}
    assert first._.embedding.tolist() == annotations.get_embedding(full_doc()).tolist()
    assert [span.text for span in first.spans["sc"]] == ["met"]
    assert [sent.text for sent in first.sents] == ["Ada met Bob in Rome.", "They left."]
    assert [answer["text"] for answer in load(first, ANSWERS_KEY, None)] == ["Ada", ""]
    # And may be annotated once more, under the same ids.
    file = InputFile("shard.spacy", str(path), "spacy")
    assert [(row.id, row.columns) for row in read_rows(file, ReadSettings())] == [
        ("d1", {"year": 3}),
        ("d2", {}),
    ]


def test_a_shard_without_rows(tmp_path):
    with open_writer("spacy", tmp_path / "x", columns=Columns(), parts=PARTS):
        pass
    assert list(read_docs(tmp_path / "x", spacy.blank("en").vocab)) == []
