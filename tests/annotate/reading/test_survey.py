import pytest

from spacy_llm_tasks.annotate.reading import survey as module
from spacy_llm_tasks.annotate.reading.id_register import IdRegister
from spacy_llm_tasks.annotate.reading.input_files import InputFile
from spacy_llm_tasks.annotate.reading.rows import BadRow, Row
from spacy_llm_tasks.annotate.reading.survey import survey, surveyed

FILES = [InputFile(name, name, "jsonl") for name in ("a", "b")]


@pytest.fixture
def ids(tmp_path):
    with IdRegister(tmp_path / "ids.sqlite", "number") as ids:
        yield ids


def rows_of(file, start):
    assert start == 0
    yield Row("x", "text", file=file.name, number=1)
    yield BadRow(f"{file.name}:2", file.name, 2, "no JSON")
    yield BadRow(f"{file.name}:3", file.name, 3, "no UTF-8", left_out=True)


def test_what_is_left_out_is_not_counted(ids, tmp_path):
    note = tmp_path / "survey.json"
    assert surveyed(note) is None
    assert survey(FILES, rows_of, ids, stop=lambda: False, note=note) == 4 == surveyed(note)
    assert ids.settled([Row("x", "", file="b", number=1)])[0].id == "x#2"


def test_it_can_be_stopped(ids, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 2)
    note = tmp_path / "survey.json"
    assert survey(FILES, rows_of, ids, stop=lambda: True, note=note) is None
    assert surveyed(note) is None
    assert survey(FILES, rows_of, ids, stop=lambda: False, note=note) == 4


def test_texts_are_not_kept(tmp_path):
    class Register:
        def check(self, rows):
            assert rows and not any(row.text for row in rows if isinstance(row, Row))

        def commit(self):
            pass

    assert survey(FILES, rows_of, Register(), stop=lambda: False, note=tmp_path / "note") == 4
