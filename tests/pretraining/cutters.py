"""Three small tokenizers of the three kinds, and stores made with them."""

from tokenizers import ByteLevelBPETokenizer, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as splitters

from spacy_llm_tasks.tokenization import PieceTokenizer

BERT_NAMES = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ROBERTA_NAMES = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'()-\u00e9\u4e2d\u6587"
LINES = [
    "the miller ground the grain while the river turned his wheel",
    "a grain of salt, two cups of flour and a little water",
]


def wordpiece(n_unused=0):
    """Words are spelt letter by letter, but for a few pieces."""
    pieces = [*BERT_NAMES.values(), *LETTERS, "mill", "grain"]
    pieces += ["##" + piece for piece in [*LETTERS, "er", "ing"]]
    pieces += [f"[unused{i}]" for i in range(n_unused)]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = splitters.BertPreTokenizer()
    tokenizer.add_special_tokens(list(BERT_NAMES.values()))
    return PieceTokenizer(tokenizer, names=BERT_NAMES)


def byte_bpe():
    """Byte-level: some characters take several pieces."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        LINES,
        vocab_size=300,
        min_frequency=1,
        special_tokens=list(ROBERTA_NAMES.values()),
        show_progress=False,
    )
    return PieceTokenizer(Tokenizer.from_str(trained._tokenizer.to_str()), names=ROBERTA_NAMES)


def unigram():
    """With a piece for the space in front of a word, often alone."""
    pieces = [(name, 0.0) for name in BERT_NAMES.values()]
    pieces += [(letter, -5.0) for letter in ["\u2581", *LETTERS]]
    pieces += [("\u2581the", -2.0), ("mill", -2.0), ("grain", -2.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=1))
    tokenizer.pre_tokenizer = splitters.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(list(BERT_NAMES.values()))
    return PieceTokenizer(tokenizer, names=BERT_NAMES)


KINDS = {"wordpiece": wordpiece, "bpe": byte_bpe, "unigram": unigram}
