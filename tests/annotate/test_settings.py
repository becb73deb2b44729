import pytest

from spacy_llm_tasks.annotate.settings import Settings


@pytest.mark.parametrize("name, value", [("questions", "Who?"), ("parts", "text")])
def test_one_string_is_not_taken_letter_by_letter(name, value):
    with pytest.raises(ValueError, match=f"E806.*{name} must be a list or tuple of strings"):
        Settings.of({name: value})


def test_lists_are_what_tuples_are():
    given = {"questions": ["Who?"], "parts": ["text", "answers"]}
    found = Settings.of(given)
    assert found == Settings.of({name: tuple(value) for name, value in given.items()})
    assert found.questions == ("Who?",) and hash(found.written_parts)
    assert Settings.of({**given, "format": "spacy"}).written_parts == ("text", "answers", "doc")
