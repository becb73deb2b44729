import json

import pytest
import spacy

from spacy_llm_tasks import annotations
from spacy_llm_tasks.corpora.report import Report
from spacy_llm_tasks.corpora.squad import looks_like_squad, read_squad

CONTEXT = " Ines planted\r\nfir \U0001f600 trees in Oban  in 1950. "


def ask(name, *answers, **more):
    given = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": name, "question": f"What is {name}?", "answers": given, **more}


def content(*questions, context=CONTEXT):
    paragraph = {"context": context, "qas": list(questions)}
    return {"version": "1.1", "data": [{"title": "trees", "paragraphs": [paragraph]}]}


@pytest.fixture
def read(tmp_path):
    def run(data, lang="en", indent=None, ascii=True):
        path = tmp_path / "x.json"
        text = (
            data if isinstance(data, str) else json.dumps(data, indent=indent, ensure_ascii=ascii)
        )
        path.write_text(text, encoding="utf-8")
        report = Report(path)
        return list(read_squad(path, spacy.blank(lang), report)), report

    return run


def questions(doc):
    return [(q.id, [tuple(answer) for answer in q.answers]) for q in doc._.questions]


@pytest.mark.parametrize("ascii", [True, False])
def test_contexts_are_exact_and_all_answers_kept(read, ascii):
    at = CONTEXT.index("Oban")
    many = [("Oban", at), ("in Oban", at - 3), ("Oban", at)]
    docs, report = read(content(ask("a", *many), ask("b", ("1950", at + 9))), ascii=ascii)
    assert docs[0].text == CONTEXT
    assert questions(docs[0]) == [("a", many), ("b", [("1950", at + 9)])]
    assert docs[0]._.questions[0].question == "What is a?"
    assert not report.unusable and not report.repaired


def test_questions_without_an_answer(read):
    plausible = {"plausible_answers": [{"text": "Ines", "answer_start": 1}]}
    docs, report = read(
        content(
            ask("a", is_impossible=True, **plausible),
            ask("b", ("Ines", 1), is_impossible=False),
            ask("c", ("Ines", 1), is_impossible=True),
            ask("d", is_impossible=False),
            ask("e"),
            {"id": "f", "question": "What?"},
        )
    )
    assert questions(docs[0]) == [("a", []), ("b", [("Ines", 1)]), ("c", []), ("e", [])]
    assert report.unusable == {"question without answers": 2}
    assert report.repaired == {
        "answers of a question marked impossible (left out)": 1,
        "empty list of answers (read as unanswerable)": 1,
    }


def test_misplaced_answers_take_their_question_along_only_if_none_is_left(read):
    docs, report = read(
        content(
            ask("a", ("Ines", 0), ("Ines", 1)), ask("b", ("Ines", 2)), ask("c", is_impossible=True)
        )
    )
    assert questions(docs[0]) == [("a", [("Ines", 1)]), ("c", [])]
    assert report.unusable == {
        "answer that does not stand at its start": 2,
        "question with no usable answer": 1,
    }


def test_places_have_the_line_of_the_file(read):
    data = content(ask("a", ("Ines", 1)), ask("b", ("Ines", 2)))
    _, report = read(data, indent=1)
    line = next(
        i for i, text in enumerate(json.dumps(data, indent=1).split("\n"), 1) if '"b"' in text
    )
    place = report.places["answer that does not stand at its start"][0]
    assert place.endswith(f"x.json:{line}: b: 'Ines' at 2")


def test_chinese_is_read_by_characters(read):
    context = "\u5967\u73ed\u6709\u6a39\uff0c1950 \u5e74\u3002"
    docs, _ = read(content(ask("a", ("\u6a39", 3)), context=context), lang="zh")
    assert docs[0].text == context and docs[0].char_span(3, 4).text == "\u6a39"
    assert questions(docs[0]) == [("a", [("\u6a39", 3)])]


def test_names_of_questions_are_made_unique(read):
    unnamed = {key: value for key, value in ask("x", ("Ines", 1)).items() if key != "id"}
    docs, report = read(content(ask("a", ("Ines", 1)), ask("a", ("Ines", 1)), unnamed, ask(5)))
    assert [name for name, _ in questions(docs[0])] == ["a", "a-0-0-1", "0-0-2", "5"]
    assert report.repaired["question id used before (numbered)"] == 1


def test_a_paragraph_without_questions_is_annotated_with_none(read):
    docs, _ = read(content())
    assert annotations.has_questions(docs[0]) and questions(docs[0]) == []


@pytest.mark.parametrize(
    "paragraph, reason",
    [
        (3, "paragraph that is not {context, qas}"),
        ({"context": "x"}, "paragraph that is not {context, qas}"),
        ({"qas": []}, "paragraph that is not {context, qas}"),
        ({"context": "", "qas": []}, "paragraph: empty text"),
        ({"context": "a \ud83d", "qas": []}, "paragraph: text with half a surrogate pair"),
        ({"context": "x", "qas": [3]}, "question that is not {id, question, answers}"),
        ({"context": "x", "qas": [{**ask("a"), "answers": {}}]}, "question that is not {id"),
        ({"context": "x", "qas": [{**ask("a"), "question": " "}]}, "question without a text"),
        ({"context": "x", "qas": [{**ask("a"), "question": "\ud83d"}]}, "question without a text"),
        ({"context": "x", "qas": [{**ask("a"), "id": "\ud83d"}]}, "question whose id has half"),
        ({"context": "x", "qas": [{**ask("a"), "answers": ["x"]}]}, "answer that is not {text"),
        ({"context": "x", "qas": [ask("a", ("x", "0"))]}, "answer that is not {text"),
        ({"context": "x", "qas": [ask("a", ("x", -1))]}, "answer that is not {text"),
        ({"context": "x", "qas": [ask("a", ("", 0))]}, "answer that is not {text"),
    ],
)
def test_values_of_the_wrong_form_are_counted(read, paragraph, reason):
    data = content(ask("z", ("Ines", 1)))
    data["data"].append({"title": "more", "paragraphs": [paragraph]})
    data["data"].append({"title": "none"})
    docs, report = read(data)
    assert questions(docs[0]) == [("z", [("Ines", 1)])]
    assert any(found.startswith(reason) for found in report.unusable), report.unusable
    assert report.unusable["article without a list 'paragraphs'"] == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"data": {}}'])
def test_other_json_is_an_error(read, text):
    with pytest.raises(ValueError, match="E340"):
        read(text)


def test_detection():
    assert looks_like_squad(json.dumps(content(), indent=2)) and looks_like_squad(
        json.dumps(content())
    )
    inside = json.dumps({"text": json.dumps(content())})
    assert not looks_like_squad(inside) and not looks_like_squad("[]")
