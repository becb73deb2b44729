import pytest
import torch

from spacy_llm_tasks.pretraining.looking.writing import Writer

from .folders import our_decoder, our_encoder, our_seq2seq, their_model, tokenizer_of

GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40}
BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
}
PLAIN = {"do_sample": False, "num_beams": 1, "forced_bos_token_id": None}


def generated(model, tokenizer, pieces, **settings):
    special = tokenizer.special
    with torch.no_grad():
        ids = model.generate(
            torch.tensor([pieces]),
            attention_mask=torch.ones(1, len(pieces), dtype=torch.long),
            eos_token_id=special.sep,
            pad_token_id=special.pad,
            **PLAIN,
            **settings,
        )
    return ids[0].tolist()


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_decoder_goes_on_like_that_of_the_other_library(tmp_path, whose):
    transformers = pytest.importorskip("transformers")
    if whose == "ours":
        our_decoder(tmp_path)
    else:
        their_model(tmp_path, "GPT2LMHeadModel", tokenizer="bpe", **GPT2)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = tokenizer_of("bpe")
    text = "The old cat"
    prompt = [tokenizer.special.cls, *tokenizer.encode([text]).ids.tolist()]
    written = Writer(tmp_path).write(text, max_new=15)
    expected = generated(model, tokenizer, prompt, max_new_tokens=15)[len(prompt) :]
    assert written.pieces == expected
    assert len(set(expected)) > 3
    assert text + written.text == tokenizer.decode(prompt + expected)


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_an_encoder_decoder_writes_like_that_of_the_other_library(tmp_path, whose):
    transformers = pytest.importorskip("transformers")
    if whose == "ours":
        our_seq2seq(tmp_path)
    else:
        sep = tokenizer_of("bpe").special.sep
        name, special = "BartForConditionalGeneration", {"decoder_start_token_id": sep}
        their_model(tmp_path, name, tokenizer="bpe", **BART, **special)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    tokenizer = tokenizer_of("bpe")
    special, writer = tokenizer.special, Writer(tmp_path)
    seen = set()
    for text in ("The [MASK] sleeps near the river.", "A dog was on the old[MASK]"):
        source = tokenizer.encode([text.replace("[MASK]", "<mask>")]).ids.tolist()
        assert special.mask in source
        framed = [special.cls, *source, special.sep]
        expected = generated(model, tokenizer, framed, max_new_tokens=15, forced_eos_token_id=None)
        written = writer.write(text, max_new=15)
        assert [special.sep, *written.pieces] == expected
        assert written.text == tokenizer.decode(expected)
        seen.update(expected)
    assert len(seen) > 3


def test_what_is_read_is_framed_as_in_pretraining(tmp_path):
    """A decoder opens with `cls`; an encoder-decoder's decoder with what config.json says."""
    writer = Writer(our_decoder(tmp_path / "decoder"))
    assert writer.start == writer.tokenizer.special.cls
    writer = Writer(our_seq2seq(tmp_path / "seq2seq"))
    assert writer.start == writer.tokenizer.special.sep
    special = tokenizer_of("bpe").special
    other = {"decoder_start_token_id": special.unk}
    name = "BartForConditionalGeneration"
    their_model(tmp_path / "other", name, tokenizer="bpe", **BART, **other)
    assert Writer(tmp_path / "other").start == special.unk


def test_the_end_of_a_text(tmp_path):
    sep = tokenizer_of("bpe").special.sep
    ends = Writer(our_seq2seq(tmp_path / "ends", bias={sep: 1e4})).write("The cat")
    assert ends == ("", [sep], True)
    never = Writer(our_seq2seq(tmp_path / "never", bias={sep: -1e4})).write("The cat")
    assert not never.is_ended and len(never.pieces) == 40


def test_it_stops_where_the_model_has_no_more_room(tmp_path):
    writer = Writer(our_decoder(tmp_path))
    prompt = " the" * 37
    assert len(writer.write(prompt).pieces) <= 3
    with pytest.raises(ValueError, match="E135.*max_new"):
        writer.write(prompt, max_new=4)
    with pytest.raises(ValueError, match="E784.*41 pieces"):
        writer.write(" the" * 40)


def test_chance_comes_from_the_seed(tmp_path):
    writer = Writer(our_decoder(tmp_path))
    texts = [writer.write("The cat", max_new=20, temperature=1.0, seed=s).text for s in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    greedy = writer.write("The cat", max_new=20)
    assert writer.write("The cat", max_new=20, temperature=1.0, top_k=1, seed=5) == greedy
    assert writer.write("The cat", max_new=20, temperature=1.0, top_p=1e-6, seed=5) == greedy
    with pytest.raises(ValueError, match="E134.*top_p"):
        writer.write("The cat", temperature=1.0, top_p=1.5)


def test_pieces_of_a_broken_word_join_it(tmp_path):
    writer = Writer(our_decoder(tmp_path, tokenizer="wordpiece"))
    tokenizer = writer.tokenizer
    vocabulary = tokenizer.spell(range(tokenizer.n_pieces))
    ending = next(i for i, name in enumerate(vocabulary) if name.startswith("##"))
    cat = tokenizer.encode(["cat"]).ids.tolist()
    assert writer._spelled([tokenizer.special.cls, *cat], [ending]) == vocabulary[ending][2:]


def test_models_and_texts_that_cannot_go_on(tmp_path):
    with pytest.raises(FileNotFoundError, match="E780"):
        Writer(tmp_path)
    with pytest.raises(ValueError, match="E788.*fill-mask"):
        Writer(our_encoder(tmp_path / "encoder"))
    with pytest.raises(ValueError, match="E783"):
        Writer(our_decoder(tmp_path / "decoder")).write("")
    with pytest.raises(ValueError, match="E783"):
        Writer(our_seq2seq(tmp_path / "seq2seq")).write("")
