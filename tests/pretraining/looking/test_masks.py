import pytest

from spacy_llm_tasks.pretraining.looking.masks import MaskFiller

from .folders import THEIRS, our_decoder, our_encoder, our_seq2seq, their_model, tokenizer_of

TEXTS = ["The old [MASK] sleeps near the river.", "[MASK] cat was [MASK] in été [MASK]"]


@pytest.mark.parametrize(
    "name, tokenizer, settings",
    [
        ("BertForMaskedLM", "wordpiece", THEIRS),
        ("BertForMaskedLM", "unigram", THEIRS),
        ("RobertaForMaskedLM", "bpe", {**THEIRS, "max_position_embeddings": 43}),
        ("ElectraForMaskedLM", "wordpiece", {**THEIRS, "embedding_size": 16}),
        ("ours", "bpe", None),
    ],
)
def test_equal_to_the_other_library(tmp_path, name, tokenizer, settings):
    transformers = pytest.importorskip("transformers")
    if settings is None:
        our_encoder(tmp_path)
    else:
        their_model(tmp_path, name, tokenizer=tokenizer, **settings)
    filler = MaskFiller(tmp_path)
    theirs = transformers.pipeline(
        "fill-mask",
        model=transformers.AutoModelForMaskedLM.from_pretrained(tmp_path),
        tokenizer=transformers.AutoTokenizer.from_pretrained(tmp_path),
    )
    mask = theirs.tokenizer.mask_token
    for text in TEXTS:
        found = filler.fill(text, top=7)
        expected = theirs(text.replace("[MASK]", mask), top_k=7)
        # the other library has no list around the pieces of a single mask
        expected = [expected] if isinstance(expected[0], dict) else expected
        assert len(found) == len(expected) == text.count("[MASK]")
        for ours, other in zip(found, expected, strict=True):
            assert [f.piece for f in ours] == [e["token"] for e in other]
            for piece, expectation in zip(ours, other, strict=True):
                assert piece.probability == pytest.approx(expectation["score"], abs=1e-5)
            # far from even, so that equality says something
            assert ours[0].probability > 3 / tokenizer_of(tokenizer).n_pieces
            if len(found) == 1:
                assert [f.text for f in ours] == [e["sequence"] for e in other]


@pytest.mark.parametrize("tokenizer", ["wordpiece", "bpe", "unigram"])
def test_either_name_of_the_mask(tmp_path, tokenizer):
    filler = MaskFiller(our_encoder(tmp_path, tokenizer=tokenizer))
    own = filler.tokenizer.spell([filler.tokenizer.special.mask])[0]
    text = "The cat [MASK] on the [MASK]."
    assert filler.fill(text) == filler.fill(text.replace("[MASK]", own))


def test_other_masks_are_filled_with_their_best_piece(tmp_path):
    filler = MaskFiller(our_encoder(tmp_path))
    first, second = filler.fill("the [MASK] near [MASK] house", top=3)
    cut = filler.tokenizer.encode(["the", " near", " house"])
    parts = [cut.ids[a:b].tolist() for a, b in zip(cut.bounds[:-1], cut.bounds[1:], strict=True)]
    for pieces, place in ((first, 0), (second, 1)):
        for piece in pieces:
            best = [first[0].piece, second[0].piece]
            best[place] = piece.piece
            whole = [*parts[0], best[0], *parts[1], best[1], *parts[2]]
            assert piece.text == filler.tokenizer.decode(whole)


def test_probabilities_of_all_pieces_sum_to_one(tmp_path):
    filler = MaskFiller(our_encoder(tmp_path))
    n_pieces = filler.tokenizer.n_pieces
    (pieces,) = filler.fill("a [MASK]", top=10**6)
    assert sorted(p.piece for p in pieces) == list(range(n_pieces))
    chances = [p.probability for p in pieces]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(1, abs=1e-5)


def test_dropout_of_a_checkpoint_is_off(tmp_path):
    filler = MaskFiller(our_encoder(tmp_path, dropout=0.5, attention_dropout=0.0))
    assert filler.fill(TEXTS[0]) == filler.fill(TEXTS[0])


def test_models_that_fill_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="E780.*Check the path"):
        MaskFiller(tmp_path)
    our_encoder(tmp_path / "run" / "model", head=False)
    with pytest.raises(FileNotFoundError, match="E780.*Did you mean .*model"):
        MaskFiller(tmp_path / "run")
    with pytest.raises(ValueError, match="E782.*without the head"):
        MaskFiller(tmp_path / "run" / "model")
    with pytest.raises(ValueError, match="E781.*'decoder'.*continue"):
        MaskFiller(our_decoder(tmp_path / "decoder"))
    with pytest.raises(ValueError, match="E781.*'seq2seq'"):
        MaskFiller(our_seq2seq(tmp_path / "seq2seq"))


def test_a_tokenizer_without_a_mask(tmp_path):
    our_encoder(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        text = (tmp_path / name).read_text(encoding="utf8")
        text = text.replace("<mask>", "<hole>").replace('"mask_token"', '"hole_token"')
        (tmp_path / name).write_text(text, encoding="utf8")
    with pytest.raises(ValueError, match="E786.*mask_token"):
        MaskFiller(tmp_path)


@pytest.mark.parametrize(
    "tokenizer, text, code",
    [
        ("bpe", "The cat sleeps.", "E787.*<mask> or \\[MASK\\]"),
        ("wordpiece", "The cat sleeps.", "E787.*Write \\[MASK\\] where"),
        ("bpe", "", "E783"),
        ("wordpiece", " \n", "E783"),
        ("bpe", "[MASK]" + " the" * 38, "E784.*41 pieces.*at most 40"),
    ],
)
def test_texts_that_cannot_be_filled(tmp_path, tokenizer, text, code):
    filler = MaskFiller(our_encoder(tmp_path, tokenizer=tokenizer))
    with pytest.raises(ValueError, match=code):
        filler.fill(text)


def test_the_longest_text_is_read(tmp_path):
    filler = MaskFiller(our_encoder(tmp_path))
    assert len(filler.fill("[MASK]" + " the" * 37)) == 1


def test_the_tokenizer_of_another_model(tmp_path):
    our_encoder(tmp_path, tokenizer="wordpiece")
    tokenizer_of("bpe").to_folder(tmp_path)
    with pytest.raises(ValueError, match="E785.*110 pieces"):
        MaskFiller(tmp_path).fill("The cat [MASK] near the river.")


def test_top_must_be_a_number_of_pieces(tmp_path):
    with pytest.raises(ValueError, match="E706.*top"):
        MaskFiller(our_encoder(tmp_path)).fill(TEXTS[0], top=0)
