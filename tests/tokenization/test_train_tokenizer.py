"""Tokenizers trained on raw text: exact sizes, the same bytes each time, the same ids elsewhere."""

import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import spacy
from hostile_texts import TEXTS, readable, texts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_tokenizer import assert_same
from toy_corpus import sentences

from spacy_llm_tasks.tokenization import PieceTokenizer, align, train_tokenizer

transformers = pytest.importorskip("transformers")
KINDS = ["wordpiece", "bpe", "unigram"]
SIZES = {"wordpiece": 200, "bpe": 400, "unigram": 200}
CORPUS = [*sentences(300), "Caf\u00e9", "A Caf\u00e9", *map(readable, TEXTS)]
VARIANTS = [
    {},
    {"lowercase": True, "normalization": "nfkc"},
    {"lowercase": False, "strip_accents": True, "normalization": "none"},
    {"lowercase": True, "strip_accents": False, "extra_special": ["<EMAIL>", "[PHONE]"]},
]


def trained(kind, **options):
    return train_tokenizer(CORPUS, kind=kind, size=SIZES[kind], **options)


@pytest.fixture(scope="module", params=KINDS)
def any_kind(request):
    return trained(request.param)


@pytest.mark.parametrize("options", VARIANTS, ids=range(len(VARIANTS)))
@pytest.mark.parametrize("kind", KINDS)
def test_transformers_cuts_the_same(kind, options, tmp_path):
    ours = trained(kind, **options)
    assert ours.kind == kind and ours.n_pieces == SIZES[kind]
    ours.to_folder(tmp_path)
    batch = [*TEXTS, "to <EMAIL> or [PHONE][PHONE] <email>", *sentences(3, seed=7)]
    for family in (transformers.AutoTokenizer, transformers.PreTrainedTokenizerFast):
        theirs = family.from_pretrained(tmp_path)
        assert len(theirs) == ours.n_pieces
        assert_same(ours, theirs, batch)
        framed = theirs("the garden")["input_ids"]
        assert framed[0] == theirs.cls_token_id == ours.special.cls
        assert framed[-1] == theirs.sep_token_id == ours.special.sep
        assert theirs.mask_token_id == ours.special.mask
        assert theirs.pad_token_id == ours.special.pad
        assert theirs.unk_token_id == ours.special.unk
    again = PieceTokenizer.from_folder(tmp_path)
    assert again.special == ours.special and again.n_pieces == ours.n_pieces
    assert again.others == ours.others
    assert_same(again, theirs, batch)


def test_the_same_on_generated_texts(any_kind, tmp_path):
    any_kind.to_folder(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(texts, max_size=3))
    def check(batch):
        assert_same(any_kind, theirs, batch)

    check()


def test_special_pieces_have_the_lowest_ids(any_kind):
    names = {
        "bpe": ["<pad>", "<unk>", "<s>", "</s>", "<mask>"],
    }.get(any_kind.kind, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    assert any_kind.spell(range(5)) == names
    special = any_kind.special
    assert (special.pad, special.unk, special.cls, special.sep, special.mask) == (0, 1, 2, 3, 4)
    more = trained(any_kind.kind, extra_special=["<EMAIL>"])
    assert more.others == (5,) and more.n_pieces == any_kind.n_pieces
    assert more.encode(["<EMAIL>"]).ids.tolist() == [5]


_SCRIPT = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from toy_corpus import sentences
from spacy_llm_tasks.tokenization import train_tokenizer
for kind, size in (("wordpiece", 200), ("bpe", 400), ("unigram", 200)):
    tokenizer = train_tokenizer(sentences(300), kind=kind, size=size)
    print(hashlib.sha256(tokenizer.to_bytes()).hexdigest())
"""


def test_two_processes_and_many_threads_give_the_same_bytes():
    here = []
    for kind in KINDS:
        tokenizer = train_tokenizer(sentences(300), kind=kind, size=SIZES[kind])
        here.append(hashlib.sha256(tokenizer.to_bytes()).hexdigest())
    for threads, seed in (("1", "1"), ("4", "2")):
        environment = {
            **os.environ,
            "RAYON_NUM_THREADS": threads,
            "TOKENIZERS_PARALLELISM": "true",
            "PYTHONHASHSEED": seed,
        }
        command = [sys.executable, "-c", _SCRIPT, str(Path(__file__).parent)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert result.stdout.split() == here, result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_too_large_a_size_names_the_one_that_works(kind):
    few = list(sentences(12))
    with pytest.raises(ValueError, match="E225") as error:
        train_tokenizer(few, kind=kind, size=50_000)
    message = str(error.value)
    found = int(message.split("can give ")[1].split()[0])
    assert "12 texts" in message and f"size to {found}" in message
    assert train_tokenizer(few, kind=kind, size=found).n_pieces == found
    with pytest.raises(ValueError, match="E225"):
        train_tokenizer(few, kind=kind, size=found + 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nothing", [[], ["", " \n\t "]])
def test_no_text(kind, nothing):
    with pytest.raises(ValueError, match="E224"):
        train_tokenizer(nothing, kind=kind, size=300)


def test_nothing_is_frequent_enough():
    with pytest.raises(ValueError, match="E224.*1 texts"):
        train_tokenizer(["abc"], kind="wordpiece", size=20)
    ours = train_tokenizer(["abc"], kind="wordpiece", size=13, min_frequency=1)
    assert ours.spell(range(5, 13)) == ["a", "b", "c", "##a", "##b", "##c", "ab", "abc"]
    assert ours.encode(["abc"]).ids.tolist() == [12]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"kind": "words"}, "E220"),
        ({"normalization": "nfx"}, "E220"),
        ({"size": 0}, "E221"),
        ({"size": 200.0}, "E221"),
        ({"min_frequency": True}, "E221"),
        ({"max_length": -1}, "E221"),
        ({"size": 6}, "E223.*7"),
        ({"kind": "bpe", "size": 260}, "E223.*261"),
        ({"extra_special": "<A>"}, "E222"),
        ({"extra_special": ["EMAIL"]}, "E222"),
        ({"extra_special": ["<|>"]}, "E222"),
        ({"extra_special": ["<E MAIL>"]}, "E222"),
        ({"extra_special": ["<A>", "<A>"]}, "E222.*already"),
        ({"extra_special": ["[MASK]"]}, "E222.*already"),
    ],
)
def test_bad_settings_are_named(options, code):
    with pytest.raises(ValueError, match=code):
        train_tokenizer(CORPUS, **{"kind": "wordpiece", "size": 100, **options})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", ["a text", ["a text", b"bytes"], ["a text", None]])
def test_wrong_texts_are_named(kind, wrong):
    position = 0 if isinstance(wrong, str) else 1
    with pytest.raises(ValueError, match=f"E219.*Text {position} "):
        train_tokenizer(wrong, kind=kind, size=300)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_the_reader_gets_through(kind):
    def reader():
        yield from CORPUS
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        train_tokenizer(reader(), kind=kind, size=300)


@pytest.mark.parametrize("kind", KINDS)
def test_lone_surrogates_are_learned_as_the_replacement_character(kind):
    broken = [text.replace("a", "\ud83d") for text in CORPUS]
    mended = [text.replace("a", "\ufffd") for text in CORPUS]
    options = {"kind": kind, "size": SIZES[kind]}
    ours = train_tokenizer(broken, **options)
    assert ours.to_bytes() == train_tokenizer(mended, **options).to_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_not_held(kind):
    base = [text * 40 for text in sentences(60)]

    def stream():
        for round_ in range(10):
            for text in base:
                yield text[round_:] + " " * 10_000

    tracemalloc.start()
    try:
        train_tokenizer(stream(), kind=kind, size=SIZES[kind])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < sum(map(len, stream())) / 3


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_learned_from_names_of_special_pieces(kind):
    mask = "<mask>" if kind == "bpe" else "[MASK]"
    without = [text.replace(" the ", " ") for text in sentences(300)]
    spelled = [text.replace(" the ", f" <EMAIL>{mask} ") for text in sentences(300)]
    options = {"kind": kind, "size": SIZES[kind], "extra_special": ["<EMAIL>"]}
    ours = train_tokenizer(spelled, **options)
    if kind != "bpe":  # which learns from runs of spaces as well
        assert ours.to_bytes() == train_tokenizer(without, **options).to_bytes()
    pieces = [piece.lower() for piece in ours.spell(range(6, ours.n_pieces))]
    assert not any("ask" in piece or "ail" in piece for piece in pieces)


def test_text_that_becomes_a_special_name_in_the_normalizer_stays_text():
    plenty = [*CORPUS, "[A] CLS MASK [B] <s> </s> "] * 2
    full_width = "\uff3b\uff23\uff2c\uff33\uff3d \uff3bMASK\uff3d \uff1cs\uff1e"
    for kind in KINDS:
        ours = train_tokenizer(
            plenty, kind=kind, size=SIZES[kind], lowercase=False, normalization="nfkc"
        )
        special = {ours.special.cls, ours.special.sep, ours.special.mask}
        assert not special.intersection(ours.encode([full_width]).ids.tolist()), kind


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_of_spacy_get_their_own_pieces(kind):
    ours = trained(kind, lowercase=False)
    nlp = spacy.blank("en")
    batch = [*sentences(20, seed=3), " leading\n\n\tand  trailing  ", "", "a\u3000b", " "]
    docs = list(nlp.pipe(batch))
    tokens = [token for doc in docs for token in doc]
    starts = [token.idx for token in tokens]
    ends = [token.idx + len(token) for token in tokens]
    pieces = ours.encode(batch)
    first, last = align(pieces, starts, ends, [len(doc) for doc in docs])
    for token, a, b in zip(tokens, first, last, strict=True):
        if token.is_space and kind != "bpe":
            assert a == b, repr(token.text)
            continue
        if token.text.strip(" "):
            assert b > a, repr(token.text)
            assert min(pieces.starts[a:b]) <= token.idx
            assert max(pieces.ends[a:b]) >= token.idx + len(token.text.strip(" "))
    # In plain prose no piece reaches over a word's border.
    reach = np.array([max(0, int(b) - int(a)) for a, b in zip(first, last, strict=True)])
    assert reach.sum() <= 1.02 * len(pieces)


def test_pieces_of_unigram_cover_all_but_blanks():
    ours = trained("unigram", normalization="none")
    text = " the\n garden \u3000caf\u00e9, talking\t\tto"
    pieces = ours.encode(["padding", text])
    rows = slice(pieces.bounds[1], None)
    spans = list(zip(pieces.starts[rows].tolist(), pieces.ends[rows].tolist(), strict=True))
    covered = {place for start, end in spans for place in range(start, end)}
    assert covered == {place for place, character in enumerate(text) if not character.isspace()}


def test_words_of_the_corpus_are_pieces():
    for kind, mark in (("wordpiece", ""), ("bpe", "\u0120"), ("unigram", "\u2581")):
        ours = train_tokenizer(CORPUS, kind=kind, size=SIZES[kind] + 200, lowercase=False)
        pieces = ours.encode(["so the garden was walking"])
        assert {mark + "the", mark + "was", mark + "garden"} <= set(ours.spell(pieces.ids)), kind


def test_case_and_accents():
    def spelled(kind, **options):
        ours = trained(kind, **options)
        return ours.decode(ours.encode(["Caf\u00e9"]).ids)

    assert spelled("wordpiece") == "cafe"
    assert spelled("wordpiece", lowercase=False) == "Caf\u00e9"
    assert spelled("wordpiece", strip_accents=False) == "caf\u00e9"
    for kind in ("bpe", "unigram"):
        assert spelled(kind) == "Caf\u00e9"
        assert spelled(kind, lowercase=True) == "caf\u00e9"
        assert spelled(kind, lowercase=True, strip_accents=True) == "cafe"


def test_bert_is_read_as_bert(tmp_path):
    ours = trained("wordpiece")
    ours.to_folder(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(theirs, transformers.BertTokenizerFast)
    state = json.loads((tmp_path / "tokenizer.json").read_text())
    assert state["normalizer"]["type"] == "BertNormalizer"
    assert state["pre_tokenizer"]["type"] == "BertPreTokenizer"


def test_byte_level_text_comes_back(tmp_path):
    ours = trained("bpe", normalization="none")
    for text in TEXTS:
        if not any(name in text for name in ours.spell(range(5))):
            assert ours.decode(ours.encode([text]).ids) == readable(text)
    assert ours.decode([2, *ours.encode(["the garden"]).ids, 3]) == "the garden"


def test_what_the_files_say(tmp_path):
    ours = trained("unigram", max_length=256, extra_special=["<EMAIL>"])
    ours.to_folder(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.model_max_length == 256
    assert theirs.additional_special_tokens == ["<EMAIL>"]
    everything = "".join(path.read_text() for path in tmp_path.iterdir())
    assert str(tmp_path) not in everything and str(Path.home()) not in everything


def test_rare_characters_of_a_large_script_are_left_out():
    ideographs = [chr(0x4E00 + i) for i in range(400)]
    # The first ones are the more frequent.
    lines = ["".join(ideographs[: 400 - 4 * (i % 100)]) for i in range(200)]
    for kind in ("wordpiece", "unigram"):
        ours = train_tokenizer([*lines, *CORPUS], kind=kind, size=400)
        unknown = ours.special.unk
        assert unknown not in ours.encode(["".join(ideographs[:100])]).ids
        assert unknown in ours.encode([ideographs[-1]]).ids


def test_characters_fill_the_vocabulary_where_nothing_longer_does():
    ideographs = [chr(0x4E00 + i) for i in range(400)]
    ours = train_tokenizer(["".join(ideographs)] * 2, kind="wordpiece", size=405)
    assert sorted(ours.spell(range(5, 405))) == ideographs
    with pytest.raises(ValueError, match="E225.* 405 or less"):
        train_tokenizer(["".join(ideographs)] * 2, kind="wordpiece", size=406)
