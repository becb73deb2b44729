import json
import random

import pytest
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.pretraining.texts.corpus import is_held_out
from spacy_llm_tasks.tokenization import PieceTokenizer, measure, train_tokenizer

_WORDS = (
    "river garden lantern market bridge window walking sings talked quiet the of and to".split()
)


@pytest.fixture
def rows():
    chooser = random.Random(0)
    return [" ".join(chooser.choices(_WORDS, k=8)) + f" {number}." for number in range(200)]


@pytest.fixture
def run(tmp_path, rows):
    lines = [json.dumps({"body": row}) for row in rows]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def run(*arguments, command="train", inputs=("in.jsonl",)):
        paths = [text if ":" in text else str(tmp_path / text) for text in inputs]
        options = ["--text-column", "body"]
        if command == "train":
            options += ["--output", str(tmp_path / "out")]
        return CliRunner().invoke(app, ["tokenizer", command, *paths, *options, *arguments])

    return run


def table(result):
    """The rows of a table by their first column, cells cut where two spaces are."""
    cells = [
        [cell.strip() for cell in line.strip().split("  ") if cell.strip()]
        for line in result.output.splitlines()
    ]
    return {row[0]: row[1:] for row in cells if len(row) > 1}


@pytest.mark.parametrize("kind, size", [("wordpiece", 120), ("bpe", 330), ("unigram", 120)])
def test_train_and_the_table(run, rows, tmp_path, kind, size):
    options = ("--kind", kind, "--size", str(size), "--held-out", "0.2", "--special", "<EMAIL>")
    result = run(*options)
    assert result.exit_code == 0, result.output
    kept = [row for row in rows if not is_held_out(row, share=0.2, seed=0)]
    unseen = [row for row in rows if is_held_out(row, share=0.2, seed=0)]
    assert 20 < len(unseen) < 60
    ours = PieceTokenizer.from_folder(tmp_path / "out")
    expected = train_tokenizer(kept, kind=kind, size=size, extra_special=["<EMAIL>"])
    assert ours.encode(rows).ids.tolist() == expected.encode(rows).ids.tolist()
    assert ours.spell(ours.others) == ["<EMAIL>"]
    found, shown = measure(ours, unseen), table(result)
    assert shown["kind"] == [kind] and shown["size"] == [str(size)]
    assert shown["pieces per word"] == [f"{found.pieces_per_word:.3f}"]
    assert shown["characters per piece"] == [f"{found.characters_per_piece:.3f}"]
    assert shown["unknown pieces"] == [f"{found.unknown_rate:.3%}"]
    assert f"On {len(unseen)} texts of {found.n_words} words" in result.output


def test_the_same_inputs_give_the_same_files(run, tmp_path):
    files = []
    for _ in range(2):
        assert run("--kind", "unigram", "--size", "100").exit_code == 0
        files.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert files[0] == files[1]
    assert not any(str(tmp_path).encode() in content for content in files[0].values())


def test_a_reference_stands_beside_it(run, rows, tmp_path):
    train_tokenizer(rows, kind="bpe", size=280).to_folder(tmp_path / "other")
    options = ("--size", "110", "--reference", str(tmp_path / "other"))
    result = run(*options)
    assert result.exit_code == 0, result.output
    shown = table(result)
    assert shown["kind"] == ["wordpiece", "bpe"] and shown["size"] == ["110", "280"]
    ours, other = map(float, shown["pieces per word"])
    assert ours < other
    result = run(*options, "--json")
    results = json.loads(result.stdout)["results"]
    assert [entry["size"] for entry in results] == [110, 280]
    assert results[1]["folder"] == str(tmp_path / "other")
    assert f"{results[1]['pieces_per_word']:.3f}" == f"{other:.3f}"


def test_without_held_out_texts_it_says_so(run, rows):
    result = run("--size", "120", "--held-out", "0")
    assert result.exit_code == 0, result.output
    assert "No text was held out" in result.output and "On 200 texts" in result.output


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["--size", "90000"], "E225"),
        (["--size", "3"], "E223"),
        (["--kind", "words"], "E220"),
        (["--special", "EMAIL"], "E222"),
        (["--reference", "nowhere"], "E201"),
        (["--text-column", "title"], "E704"),
    ],
)
def test_errors_are_one_message_and_leave_no_folder(run, tmp_path, arguments, code):
    result = run(*arguments)
    assert result.exit_code == 1 and code in result.output and "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_bad_places(run, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"fine\nnot \xff fine\n" * 40)
    result = run("--size", "40", inputs=["bad.txt"])
    assert result.exit_code == 1 and "E703" in result.output and "bad.txt:2" in result.output
    result = run("--size", "16", "--invalid", "replace", inputs=["bad.txt"])
    assert result.exit_code == 0, result.output
    assert "repaired: 1 x text that is no UTF-8" in result.output
    (tmp_path / "empty.txt").write_text("\n \n")
    result = run("--size", "40", inputs=["empty.txt"])
    assert result.exit_code == 1 and "E224" in result.output
    (tmp_path / "file").write_text("")
    result = run("--output", str(tmp_path / "file"))
    assert result.exit_code == 1 and "E226" in result.output


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt", "notes"])
def test_the_tokenizer_of_a_checkpoint_is_not_replaced(run, rows, tmp_path, name):
    theirs = train_tokenizer(rows, kind="bpe", size=280)
    theirs.to_folder(tmp_path / "out")
    (tmp_path / "out" / name).write_text("{}")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    result = run("--size", "120")
    assert result.exit_code == 1 and "E227" in result.output and name in result.output
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    # one's own earlier tokenizer is replaced, and what a kill has left of another
    (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / ".part-tokenizer.json").write_text("{")
    result = run("--size", "120")
    assert result.exit_code == 0, result.output
    assert PieceTokenizer.from_folder(tmp_path / "out").n_pieces == 120
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_short_texts_have_no_pairs_for_bpe(run, tmp_path):
    (tmp_path / "short.txt").write_text("hi there")
    result = run("--kind", "bpe", "--size", "270", "--held-out", "0", inputs=["short.txt"])
    assert result.exit_code == 1 and "E224" in result.output
    assert "no pair of bytes within a word occurs 2 times" in result.output
    result = run("--size", "270", "--held-out", "0", inputs=["short.txt"], command="train")
    assert result.exit_code == 1 and "pair" not in result.output


def test_info(run, rows, tmp_path):
    tokenizer = train_tokenizer(rows, kind="unigram", size=120, extra_special=["<EMAIL>"])
    tokenizer.to_folder(tmp_path / "mine")
    result = run("--text", "the garden <EMAIL>", command="info", inputs=["mine"])
    assert result.exit_code == 0, result.output
    shown = table(result)
    assert shown["kind"] == ["unigram"] and shown["pieces"] == ["120"]
    assert shown["mask"] == ["[MASK] (4)"] and shown["more special pieces"] == ["<EMAIL>"]
    garden = tokenizer.encode(["the garden"]).ids[1]
    assert shown["\u2581garden"] == [str(garden), "4:10", "'garden'"]
    result = run("--json", command="info", inputs=["mine", "in.jsonl"])
    (entry,) = json.loads(result.stdout)["results"]
    assert entry["n_texts"] == 200 and entry["n_words"] == 200 * 9
    result = run(command="info", inputs=["in.jsonl"])
    assert result.exit_code == 1 and "E201" in result.output


def test_help_teaches():
    for command in ("train", "info"):
        result = CliRunner().invoke(app, ["tokenizer", command, "--help"])
        assert result.exit_code == 0
        assert f"spacy-llm-tasks tokenizer {command} " in result.output
