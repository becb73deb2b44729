"""Chinese from end to end: characters as tokens, a vocabulary of characters, random weights."""

import importlib.util
import json
from pathlib import Path

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.util import fix_random_seed
from typer.testing import CliRunner

import spacy_llm_tasks
from spacy_llm_tasks.annotations import get_questions
from spacy_llm_tasks.cli import app
from spacy_llm_tasks.corpora.reader import make_corpus
from spacy_llm_tasks.render import page
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.training.optimizer import make_adamw

CONFIGS = Path(spacy_llm_tasks.__file__).parent / "configs"
ENCODER = {"width": 32, "depth": 2, "n_heads": 2, "positions": "rope", "norm_position": "pre"}
ZH = ["--nlp.lang", "zh", "--nlp.tokenizer.@tokenizers", "spacy.zh.ChineseTokenizer"]

# Text, entities as they are written, questions with their answers ("" for none). Simplified and
# traditional characters, wide letters and digits, a wide space, spaces, a character beyond the
# first plane, and signs of both kinds.
PEOPLE = [
    (
        "林晓月在白石镇开了一家茶馆。",
        {"林晓月": "PER", "白石镇": "LOC"},
        {"谁开了茶馆？": "林晓月"},
    ),
    (
        "蘇明遠於１９８７年創立青楓書局，總部設在臺南。",
        {"蘇明遠": "PER", "青楓書局": "ORG", "臺南": "LOC"},
        {"青楓書局是哪一年創立的？": "１９８７年", "總部在哪裡？": "臺南"},
    ),
    (
        "ＡＢＣ公司　的经理是赵 Ivan。",
        {"ＡＢＣ公司": "ORG", "赵 Ivan": "PER"},
        {"经理是谁？": "赵 Ivan"},
    ),
    ("𠮷田先生昨天去了云湖。", {"𠮷田": "PER", "云湖": "LOC"}, {"𠮷田去了哪里？": "云湖"}),
    (
        "何小川和唐一凡都在海星银行上班。",
        {"何小川": "PER", "唐一凡": "PER", "海星银行": "ORG"},
        {"他们在哪里上班？": "海星银行"},
    ),
    (
        "海星银行2021年搬到了青石路18号。",
        {"海星银行": "ORG", "青石路18号": "LOC"},
        {"哪一年搬的？": "2021年"},
    ),
    ("“春风号”货轮\n明天开往北湾港。", {"北湾港": "LOC"}, {"货轮什么时候走？": "明天"}),
    ("没有人知道这封信是谁写的。", {}, {"谁写了这封信？": ""}),
    (
        "陈老师教数学，周老师教音乐。",
        {"陈老师": "PER", "周老师": "PER"},
        {"谁教音乐？": "周老师", "谁教数学？": "陈老师"},
    ),
    ("東河大學的吳教授獲得了金筆獎。", {"東河大學": "ORG", "吳教授": "PER"}, {}),
    ("南山小学有三百名学生。", {"南山小学": "ORG"}, {"南山小学有多少名学生？": "三百名"}),
    ("价格是￥3,500.50（含税）。", {}, {"谁付钱？": ""}),
]
TEXTS = [text for text, _, _ in PEOPLE]


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def record(text, ents, questions):
    places = {
        surface: text.index(surface) for surface in (*ents, *filter(None, questions.values()))
    }
    return {
        "text": text,
        "ents": [[places[x], places[x] + len(x), label] for x, label in ents.items()],
        "questions": [
            {"question": q, "answers": [{"text": a, "start": places[a]}] if a else []}
            for q, a in questions.items()
        ],
    }


def characters_script():
    path = Path(__file__).parents[1] / "benchmarks" / "characters.py"
    spec = importlib.util.spec_from_file_location("characters", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A converted corpus, and a tokenizer of its characters."""
    folder = tmp_path_factory.mktemp("zh")
    lines = [json.dumps(record(*row), ensure_ascii=False) for row in PEOPLE]
    (folder / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    printed = invoke("convert", folder / "in.jsonl", folder / "train.spacy", "--lang", "zh")
    assert "left out" not in printed and "unusable" not in printed
    characters_script().main([folder / "train.spacy"], folder / "characters", least=1)
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    nlp = spacy.blank("zh")
    nlp.add_pipe("trf_encoder", name="transformer", config={"model": ENCODER})
    nlp.add_pipe("trf_ner")
    nlp.add_pipe("trf_qa", config={"lang": "zh"})
    nlp.config["initialize"]["components"]["transformer"] = {
        "tokenizer": str(folder / "characters")
    }
    data = list(make_corpus(folder / "train.spacy")(nlp))
    fix_random_seed(1)
    nlp.initialize(lambda: data)
    optimizer = make_adamw(learn_rate=0.005, encoder_scale=1.0)
    for _ in range(60):
        nlp.update(data, sgd=optimizer, drop=0.0)
    return nlp


@pytest.fixture(scope="module")
def loaded(trained, folder):
    trained.to_disk(folder / "pipeline")
    return spacy.load(folder / "pipeline")


def found_in(doc):
    for ent in doc.ents:
        assert doc.text[ent.start_char : ent.end_char] == ent.text
    return {ent.text: ent.label_ for ent in doc.ents}


# Data --------------------------------------------------------------------------------------------


def test_converted_tokens_are_those_of_a_pipeline(folder):
    nlp = spacy.blank("zh")
    examples = list(make_corpus(folder / "train.spacy")(nlp))
    assert len(examples) == len(PEOPLE)
    for example, (text, ents, questions) in zip(examples, PEOPLE, strict=True):
        doc = example.reference
        assert doc.text == text and not doc.has_unknown_spaces
        assert [token.text for token in doc] == [token.text for token in nlp.make_doc(text)]
        assert found_in(doc) == ents
        for question in get_questions(doc):
            assert [a.text for a in question.answers] == list(
                filter(None, [questions[question[1]]])
            )
            for answer in question.answers:
                assert text.startswith(answer.text, answer.start)


def test_columns_of_characters_and_of_a_pipeline_align(tmp_path):
    rows = [
        *zip(
            "林晓月在ＡＢＣ公司",
            "B-PER M-PER E-PER O B-ORG M-ORG M-ORG M-ORG E-ORG".split(),
            strict=True,
        ),
        *zip("住臺南，", "O B-LOC E-LOC O".split(), strict=True),
    ]
    source, target = tmp_path / "in.bmes", tmp_path / "out.spacy"
    lines = [f"{char} {tag}" for char, tag in rows]
    source.write_text("\n".join([*lines[:9], "", *lines[9:], ""]), encoding="utf-8")
    invoke("convert", source, target, "--lang", "zh", "--spaces", "none")
    nlp = spacy.blank("zh")
    for gold_tokens in (True, False):
        examples = list(make_corpus(target, gold_tokens=gold_tokens)(nlp))
        assert [eg.predicted.text for eg in examples] == ["林晓月在ＡＢＣ公司", "住臺南，"]
        for eg in examples:
            spans = eg.get_aligned_spans_y2x(eg.reference.ents)
            assert [s.text for s in spans] == [e.text for e in eg.reference.ents]
    assert found_in(examples[0].reference) == {"林晓月": "PER", "ＡＢＣ公司": "ORG"}


def test_a_vocabulary_of_characters(folder, tmp_path):
    script = characters_script()
    # Lower case, without accents; what stands together begins with the first.
    expected = ["##1", "##2", "##e", "##ß", "1", "a", "臺", "１"]
    assert script.character_pieces(["臺 Aß1", "１É1", "12"]) == [*script.SPECIAL, *expected]
    assert script.character_pieces(["臺 Aß1", "１É1", "12"], least=2)[5:] == ["##1"]
    pieces = PieceTokenizer.from_folder(folder / "characters")
    cut = pieces.encode(TEXTS)
    assert not (cut.ids == pieces.special.unk).any()
    assert ((cut.ends - cut.starts) == 1).all()
    # Every character is a piece, but white space.
    assert len(cut) == sum(len("".join(text.split())) for text in TEXTS)
    text = tmp_path / "a.txt"
    text.write_text("云湖，云湖。", encoding="utf-8")
    script.main([text, folder / "in.jsonl"], tmp_path / "out", least=3)
    lines = (tmp_path / "out" / "vocab.txt").read_text(encoding="utf-8").split("\n")
    assert lines[:5] == list(script.SPECIAL)
    assert "云" in lines and "湖" in lines  # twice in the one file, once or more in the other
    assert "价" not in lines
    assert PieceTokenizer.from_folder(tmp_path / "out").n_pieces == len(lines) - 1


# A trained pipeline ------------------------------------------------------------------------------


def test_entities_are_learned_and_saved(trained, loaded):
    assert loaded.lang == "zh"
    for nlp in (trained, loaded):
        docs = list(nlp.pipe(TEXTS, batch_size=5))
        assert [doc.text for doc in docs] == TEXTS
        assert [found_in(doc) for doc in docs] == [ents for _, ents, _ in PEOPLE]
        assert found_in(nlp(TEXTS[1])) == PEOPLE[1][1]


def test_questions_are_answered_at_exact_places(loaded):
    docs = [loaded.make_doc(text) for text in TEXTS]
    asked = [list(questions) for _, _, questions in PEOPLE]
    answers = loaded.get_pipe("trf_qa").answer(docs, asked)
    for (text, _, questions), found in zip(PEOPLE, answers, strict=True):
        assert [answer.text for answer in found] == list(questions.values())
        for answer in found:
            assert text[answer.start_char : answer.end_char] == answer.text
    assert loaded(TEXTS[1])._.ask("總部在哪裡？").text == "臺南"


def test_the_metrics_count_characters(loaded, folder):
    scores = loaded.evaluate(list(make_corpus(folder / "train.spacy")(loaded)))
    assert scores["ents_f"] == scores["qa_f1"] == scores["qa_em"] == scores["token_acc"] == 1.0


ODD = st.text(st.sampled_from("林云湖臺，。“　 \n\tＡa1é𠮷\u0301％"), max_size=25)


@settings(max_examples=30, deadline=None)
@given(st.lists(ODD, max_size=4))
def test_any_text_keeps_its_places(loaded, texts):
    docs = list(loaded.pipe([*texts, TEXTS[0]]))
    assert [doc.text for doc in docs] == [*texts, TEXTS[0]]
    assert [found_in(doc) for doc in docs][-1] == PEOPLE[0][1]
    for answer, text in zip(
        loaded.get_pipe("trf_qa").answer(docs, ["谁？"] * len(docs)),
        [*texts, TEXTS[0]],
        strict=True,
    ):
        assert text[answer.start_char : answer.end_char] == answer.text


def test_pictures_have_the_characters(loaded):
    text = page(list(loaded.pipe(TEXTS[:4])), title="图")
    for surface in ("林晓月", "青楓書局", "ＡＢＣ公司", "𠮷田"):
        assert surface in text


# Commands ----------------------------------------------------------------------------------------


def test_the_commands_take_the_language_as_a_setting(folder):
    sizes = [x for k, v in ENCODER.items() for x in (f"--components.transformer.model.{k}", v)]
    output, corpus = folder / "out", folder / "train.spacy"
    invoke(
        *("train", CONFIGS / "qa.cfg", "--output", output, *ZH, *sizes),
        *("--components.trf_qa.lang", "zh", "--paths.train", corpus, "--paths.dev", corpus),
        *("--initialize.components.transformer.tokenizer", folder / "characters"),
        *("--training.max_steps", 2, "--training.eval_frequency", 2, "--no-checkpoints"),
    )
    best = spacy.load(output / "model-best")
    assert best.lang == "zh" and len(best.make_doc("白石镇")) == 3
    assert best.get_pipe("trf_qa").task.lang == "zh"
    scores = folder / "scores.json"
    invoke("evaluate", output / "model-best", folder / "in.jsonl", "--output", scores)
    assert 0.0 <= json.loads(scores.read_text())["qa_f1"] <= 1.0
    (folder / "a.txt").write_text(TEXTS[1], encoding="utf-8")
    invoke("ask", output / "model-best", "總部在哪裡？", folder / "a.txt")
    invoke("render", folder / "in.jsonl", "--lang", "zh", "--output", folder / "a.html")
    assert "青楓書局" in (folder / "a.html").read_text(encoding="utf-8")
