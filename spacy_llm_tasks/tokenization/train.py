"""Make a tokenizer from raw text: WordPiece, byte-level BPE or Unigram.

    kind       normaliser, by default        words are cut        special pieces
    wordpiece  BERT's, lower-casing          as in BERT           [PAD] [UNK] [CLS] [SEP] [MASK]
    bpe        NFC                           as in GPT-2          <pad> <unk> <s> </s> <mask>
    unigram    NFKC                          at blanks, with "▁"  as for wordpiece

The special pieces have the lowest ids, in this order. The same texts in the same order give the
same bytes, on any number of threads.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as splitters

from ..errors import Errors
from .files import post_processor
from .text_stream import TextStream
from .tokenizer import PieceTokenizer
from .unigram import learn_unigram
from .word_counts import count_words
from .wordpieces import MARK, MOST_CHARACTERS, learn_wordpieces

KINDS = ("wordpiece", "bpe", "unigram")
NORMALIZATIONS = ("nfc", "nfkc", "none")

_ROLES = ("pad", "unk", "cls", "sep", "mask")
_BRACKETS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ANGLES = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
# A score below that of any way to spell the name of a special piece: a text that only *becomes*
# such a name in the normaliser (written in full-width letters, say) is text.
_SPECIAL_SCORE = -1000.0
_INSIDE = r"\S*[^\W_]\S*"
_IN_BRACKETS = re.compile(rf"<{_INSIDE}>|\[{_INSIDE}\]|\{{{_INSIDE}\}}")


def train_tokenizer(
    texts: Iterable[str],
    *,
    kind: str,
    size: int,
    lowercase: bool | None = None,
    strip_accents: bool | None = None,
    normalization: str | None = None,
    min_frequency: int = 2,
    extra_special: Sequence[str] = (),
    max_length: int | None = None,
) -> PieceTokenizer:
    """Learn a vocabulary from texts.

    texts (iterable of str): the texts; read once, one at a time, and not kept. What is kept grows
        with the number of different words.
    kind (str): "wordpiece" (Devlin et al. 2019), "bpe" on bytes (Radford et al. 2019), which can
        spell every text, or "unigram" (Kudo 2018).
    size (int): pieces of the vocabulary, special ones included; reached exactly.
    lowercase (bool | None): whether case is dropped; None: as usual for the kind, which is True for
        "wordpiece" and False for the others.
    strip_accents (bool | None): whether accents are dropped; None: if "wordpiece" drops case.
    normalization (str | None): Unicode normal form of what is cut, "nfc", "nfkc" or "none"; None:
        "nfkc" for "unigram", else "nfc".
    min_frequency (int): a character or pair that occurs less often is not learned.
    extra_special (sequence of str): names of more special pieces in brackets, such as "<EMAIL>".
        They get the next ids; where a text spells one out it is found as a whole.
    max_length (int | None): longest input of the model to be, in pieces, for the files
        (`model_max_length`); nothing is cut here.
    RETURNS (PieceTokenizer): the tokenizer.
    RAISES (ValueError): if a setting is unknown or out of bounds, something else than a string is
        among the texts, there is no text, or the texts cannot give so many pieces; the message
        says how many they can.
    """
    _check_settings(kind, size, normalization, min_frequency, max_length)
    names = dict(zip(_ROLES, _ANGLES if kind == "bpe" else _BRACKETS, strict=True))
    special = [*names.values(), *extra_special]
    _check_special(special, extra_special)
    fixed = len(special) + (len(splitters.ByteLevel.alphabet()) if kind == "bpe" else 0)
    least = fixed + (0 if kind == "bpe" else 2)
    if size < least:
        raise ValueError(Errors.E223.format(size=size, kind=kind, least=least))
    lowercase = kind == "wordpiece" if lowercase is None else lowercase
    normalization = normalization or ("nfkc" if kind == "unigram" else "nfc")
    normalizer = _normalizer(kind, normalization, lowercase, strip_accents)
    stream = TextStream(texts, without=special)
    if kind == "bpe":
        tokenizer = _byte_bpe(stream, normalizer, special, size, min_frequency)
        found = tokenizer.get_vocab_size(with_added_tokens=False)
    else:
        splitter: Any = splitters.BertPreTokenizer()
        if kind == "unigram":
            splitter = splitters.Sequence([splitters.WhitespaceSplit(), splitters.Metaspace()])
        words = count_words(stream, normalizer=normalizer, splitter=splitter)
        learn = _wordpiece_model if kind == "wordpiece" else _unigram_model
        model, found = learn(words, special, size, min_frequency)
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = splitter
        tokenizer.decoder = decoders.Metaspace() if kind == "unigram" else decoders.WordPiece(MARK)
    if not stream.n_texts or found <= fixed < size:
        # All bytes are in the alphabet of "bpe": what it learns are pairs of them.
        what = "pair of bytes within a word" if kind == "bpe" else "character"
        facts = {"n_texts": stream.n_texts, "what": what, "min_frequency": min_frequency}
        raise ValueError(Errors.E224.format(**facts))
    if found < size:
        raise ValueError(
            Errors.E225.format(
                n_texts=stream.n_texts, n_characters=stream.n_characters, found=found, size=size
            )
        )
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.add_special_tokens(_added(special))
    tokenizer.post_processor = post_processor(tokenizer, names)
    settings: dict[str, Any] = {"clean_up_tokenization_spaces": kind == "wordpiece"}
    if extra_special:
        settings["additional_special_tokens"] = list(extra_special)
    if max_length is not None:
        settings["model_max_length"] = max_length
    return PieceTokenizer(tokenizer, names=names, settings=settings)


def _byte_bpe(
    texts: TextStream, normalizer: Any, special: list[str], size: int, min_frequency: int
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitters.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # This trainer gives the same result on every run: ties are broken by ids, and ids follow from
    # the alphabet, which is sorted.
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=_added(special),
        initial_alphabet=splitters.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(iter(texts), trainer=trainer)
    return tokenizer


def _wordpiece_model(
    words: Mapping[str, int], special: list[str], size: int, min_frequency: int
) -> tuple[Any, int]:
    pieces = learn_wordpieces(words, size=size - len(special), min_frequency=min_frequency)
    vocab = {piece: i for i, piece in enumerate([*special, *pieces])}
    model = models.WordPiece(
        vocab,
        unk_token=special[_ROLES.index("unk")],
        max_input_chars_per_word=MOST_CHARACTERS,
        continuing_subword_prefix=MARK,
    )
    return model, len(vocab)


def _unigram_model(
    words: Mapping[str, int], special: list[str], size: int, min_frequency: int
) -> tuple[Any, int]:
    pieces = learn_unigram(words, size=size - len(special), min_frequency=min_frequency)
    entries = [*((name, _SPECIAL_SCORE) for name in special), *pieces]
    return models.Unigram(entries, unk_id=_ROLES.index("unk")), len(entries)


def _normalizer(kind: str, normalization: str, lowercase: bool, strip_accents: bool | None) -> Any:
    form = {"nfc": [normalizers.NFC()], "nfkc": [normalizers.NFKC()], "none": []}[normalization]
    if kind == "wordpiece":
        bert = normalizers.BertNormalizer(strip_accents=strip_accents, lowercase=lowercase)
        decomposes = lowercase if strip_accents is None else strip_accents
        # Where BERT's own normaliser decomposes anyway, NFC in front of it changes nothing.
        return bert if decomposes and normalization == "nfc" else _sequence([*form, bert])
    steps: list[Any] = []
    if strip_accents:
        steps += [normalizers.NFD(), normalizers.StripAccents()]
    if lowercase:
        steps.append(normalizers.Lowercase())
    return _sequence([*steps, *form])


def _sequence(steps: list[Any]) -> Any:
    return normalizers.Sequence(steps) if len(steps) > 1 else next(iter(steps), None)


def _added(special: list[str]) -> list[AddedToken]:
    """RoBERTa's mask takes the space before it, as a word's own piece would."""
    return [
        AddedToken(name, special=True, normalized=False, lstrip=name == "<mask>")
        for name in special
    ]


def _check_settings(
    kind: str, size: int, normalization: str | None, min_frequency: int, max_length: int | None
) -> None:
    if kind not in KINDS:
        raise ValueError(Errors.E220.format(name="kind", found=kind, known=", ".join(KINDS)))
    if normalization is not None and normalization not in NORMALIZATIONS:
        known = ", ".join(NORMALIZATIONS)
        raise ValueError(Errors.E220.format(name="normalization", found=normalization, known=known))
    numbers = {"size": size, "min_frequency": min_frequency}
    if max_length is not None:
        numbers["max_length"] = max_length
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(Errors.E221.format(name=name, value=value))


def _check_special(special: list[str], extra: Sequence[str]) -> None:
    if isinstance(extra, str):
        raise ValueError(Errors.E222.format(name=extra, reason="expected a list of names"))
    for name in extra:
        # No vocabulary joins brackets with letters: text cannot become such a piece by itself.
        if not isinstance(name, str) or not _IN_BRACKETS.fullmatch(name):
            reason = "expected letters or digits in brackets, as in <EMAIL> or [EMAIL]"
            raise ValueError(Errors.E222.format(name=name, reason=reason))
        if special.count(name) > 1:
            raise ValueError(Errors.E222.format(name=name, reason="it is there already"))
