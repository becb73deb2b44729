import gzip
import hashlib
import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from spacy_llm_tasks.pretraining.texts import corpus as module
from spacy_llm_tasks.pretraining.texts.corpus import Corpus, CorpusSettings, is_held_out, prepare
from spacy_llm_tasks.pretraining.texts.sources import read_texts

WORDS = "the river mill stands still when winter comes and ice holds every wheel in place".split()


def sentences(n, seed=0):
    rng = random.Random(seed)
    return [" ".join([*rng.choices(WORDS, k=12), str(i)]) for i in range(n)]


def write(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return str(path)


@pytest.fixture
def make(tmp_path):
    def make(texts, name="in.jsonl", **options):
        path = write(tmp_path / name, texts)
        folder = tmp_path / f"corpus-{len(list(tmp_path.iterdir()))}"
        return prepare(CorpusSettings(paths=[path], **options), folder=folder)

    return make


def test_what_becomes_of_every_document(make, tmp_path):
    texts = sentences(300)
    corpus = make(
        [
            *texts,
            texts[7],
            f"  {texts[8]}\u200b ",
            "short",
            "1 2 3 4 5 6 7 8 9 10 11 12",
            "Please write to me@example.org or to you@example.org today.",
        ],
        scrub=["EMAIL"],
        held_out=0.1,
    )
    report = corpus.report
    train, held_out = list(corpus.train()), list(corpus.held_out())
    assert report.documents == 305 and report.cleaned == 1
    assert report.dropped == {"duplicate": 2, "too short": 1, "too few letters": 1}
    assert report.scrubbed == {"<EMAIL>": 2}
    assert sorted(train + held_out) == sorted(
        [*texts, "Please write to <EMAIL> or to <EMAIL> today."]
    )
    assert [text for text in texts if text in set(train)] == [t for t in train if "EMAIL" not in t]
    for split, found in ((report.train, train), (report.held_out, held_out)):
        assert split.documents == len(found) and split.characters == sum(map(len, found))
        data = b"".join(text.encode() + b"\0" for text in found)
        assert split.sha256 == hashlib.sha256(data).hexdigest()
    assert 10 <= len(held_out) <= 60
    assert 0 < report.duplicate_bytes < 400
    manifest = json.loads((corpus.folder / "corpus.json").read_text())
    assert manifest["report"] == json.loads(json.dumps(report.to_dict()))
    assert list(read_texts([corpus.folder / "train.jsonl.gz"])) == train


def test_a_side_never_depends_on_other_texts_or_on_the_order(make):
    texts = sentences(400)
    held_out = set(make(texts, held_out=0.2).held_out())
    assert 50 < len(held_out) < 110
    shuffled = random.Random(1).sample(texts, len(texts))
    assert set(make(shuffled, held_out=0.2).held_out()) == held_out
    part = make([*texts[:100], *sentences(50, seed=9)], held_out=0.2)
    assert set(part.held_out()) & set(texts) == held_out & set(texts[:100])
    assert set(make(texts, held_out=0.1).held_out()) < held_out
    assert set(make(texts, held_out=0.2, seed=1).held_out()) != held_out
    assert [text in held_out for text in texts] == [
        is_held_out(text, share=0.2, seed=0) for text in texts
    ]


def test_shares():
    texts = sentences(4000)
    for share in (0.0, 0.02, 0.5):
        n = sum(is_held_out(text, share=share, seed=3) for text in texts)
        assert abs(n - share * 4000) <= 4 * (4000 * share * (1 - share)) ** 0.5


def test_near_duplicates_keep_the_first(make):
    rng = random.Random(4)
    long = [" ".join(f"w{rng.randrange(3000)}x" for _ in range(150)) for _ in range(20)]
    copies = [text + " and then some more" for text in long]
    options = {"held_out": 0.0, "min_letters": 0.0}
    assert list(make([*long, *copies], near_duplicates=True, **options).train()) == long
    corpus = make([*copies, *long], near_duplicates=True, **options)
    assert list(corpus.train()) == copies and corpus.report.dropped == {"near duplicate": 20}
    assert 500 < corpus.report.duplicate_bytes < 10_000
    assert make([*long, *copies], **options).report.train.documents == 40
    assert make([*long, *long], exact_duplicates=False, **options).report.train.documents == 40


def test_the_same_bytes_every_time(make):
    texts = sentences(50)
    first, second = make(texts, held_out=0.2), make(texts, held_out=0.2)
    assert first.folder != second.folder
    for name in ("train.jsonl.gz", "held_out.jsonl.gz"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_prepared_once(tmp_path, monkeypatch):
    path = Path(write(tmp_path / "in.jsonl", sentences(40)))
    settings = CorpusSettings(paths=[str(path)], folder=str(tmp_path / "c"), held_out=0.2)
    n_fills = []
    fill = module._fill
    monkeypatch.setattr(module, "_fill", lambda *args: n_fills.append(fill(*args)))
    said = []
    first = prepare(settings, say=said.append)
    again = prepare(settings, say=said.append)
    assert len(n_fills) == 1 and "the same" in said[-1]
    assert again == first and list(again.train()) == list(first.train())
    prepare(replace(settings, min_characters=20))
    assert len(n_fills) == 2
    prepare(settings)
    assert len(n_fills) == 3
    write(path, sentences(41))
    assert sum(1 for _ in prepare(settings).train()) > 0 and len(n_fills) == 4
    os.utime(path, ns=(1, 1))
    prepare(settings)
    assert len(n_fills) == 5
    (tmp_path / "c" / "train.jsonl.gz").write_bytes(b"")  # damaged: made again
    assert list(prepare(settings).train()) and len(n_fills) == 6
    (tmp_path / "c" / "corpus.json").unlink()
    prepare(settings)
    assert len(n_fills) == 7 and [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


def test_a_failure_leaves_the_earlier_corpus(tmp_path):
    path = tmp_path / "in.jsonl"
    settings = CorpusSettings(paths=[write(path, sentences(40))], folder=str(tmp_path / "c"))
    with pytest.warns(UserWarning, match="W700"):
        before = list(prepare(replace(settings, held_out=1e-9)).train())
    path.write_bytes(path.read_bytes() + b'{"text": "\xff"}\n')
    with pytest.raises(ValueError, match=r"E703.*in\.jsonl:41"):
        prepare(settings)
    assert list(Corpus.open(tmp_path / "c").train()) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "in.jsonl"]
    assert prepare(replace(settings, invalid="skip", held_out=0.0)).report.unusable.total() == 1


def test_an_empty_corpus_is_an_error_that_says_why(make, tmp_path):
    with pytest.raises(ValueError, match=r"E700.*in\.jsonl.*2 x too short, 1 x too few letters"):
        make(["a", "b", "1234567890 1234567890"])
    with pytest.raises(ValueError, match="E700.*there were none"):
        make([])
    with pytest.raises(ValueError, match=r"E711\] All 3 documents.*share is 0\.9999") as error:
        make(sentences(3), held_out=0.9999)
    assert "there were none" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_corpus_that_is_empty_by_damage_says_so(tmp_path):
    path = tmp_path / "torn.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"text": sentences(1)[0]}).encode())[:15])
    settings = CorpusSettings(paths=[str(path)], invalid="replace", folder=str(tmp_path / "c"))
    with pytest.raises(ValueError, match="E700.*1 x damaged file"):
        prepare(settings)


def test_other_files_are_never_replaced(tmp_path):
    path = write(tmp_path / "in.jsonl", sentences(40))
    settings = CorpusSettings(paths=[path], held_out=0.0)
    for folder in (tmp_path, Path(path)):
        with pytest.raises(ValueError, match=r"E710.*"):
            prepare(settings, folder=folder)
    assert Path(path).read_text().count("\n") == 40
    (tmp_path / "empty").mkdir()
    assert prepare(settings, folder=tmp_path / "empty").report.train.documents == 40
    with pytest.raises(ValueError, match="E706.*folder"):
        prepare(settings)


@pytest.mark.parametrize(
    "name, value",
    [
        *(("paths", []), ("paths", "a.txt"), ("held_out", 1.0), ("held_out", -0.1)),
        *(("min_characters", 0), ("max_characters", -1), ("min_letters", 1.5)),
        *(("near_threshold", 0.0), ("scrub", ["NAMES"]), ("seed", 2**63)),
    ],
)
def test_wrong_settings(name, value):
    with pytest.raises(ValueError, match=f"E706.*{name}"):
        CorpusSettings(**{"paths": ["x"], name: value})


def test_open_says_what_is_wrong(make, tmp_path):
    with pytest.raises(ValueError, match=r"E709.*corpus\.json"):
        Corpus.open(tmp_path)
    corpus = make(sentences(40), held_out=0.2)
    assert Corpus.open(corpus.folder) == corpus
    path = corpus.folder / "train.jsonl.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=rf"E709.*{len(whole) - 20} bytes, not {len(whole)}"):
        Corpus.open(corpus.folder)
    with pytest.raises(ValueError, match="E709"):
        list(corpus.train())


def test_progress_is_said_now_and_then(make, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    said = []
    path = write(tmp_path / "x.jsonl", sentences(3))
    settings = CorpusSettings(paths=[path], held_out=0.0)
    prepare(settings, folder=tmp_path / "c", say=said.append)
    assert said[-1] == "3 documents read, 2 kept"
