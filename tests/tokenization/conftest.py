"""Small tokenizers made on the spot: WordPiece vocabularies and a trained byte-level BPE."""

import random

import pytest
from tokenizers import ByteLevelBPETokenizer

transformers = pytest.importorskip("transformers")

CORPUS = [
    "hello world, the quick brown fox isn't here; the others are walking and talking.",
    "Caf\u00e9 \u4e2d\u6587 \u0634\u0643\u0631 \U0001f468\u200d\U0001f469 123 $45.6 \n two  spaces",
]


def _wordpieces(seed: int) -> list[str]:
    chooser = random.Random(seed)
    letters = list("abcdefghijklmnopqrstuvwxyzABT0123456789.,'!?$#@-[]<>/\u00e9\u0301")
    letters += list("\u4e2d\u6587\u6df7\u05e9\u0634\uac00\u1100\u1161\u00df\u2764\ufffd")
    words = ["hello", "world", "the", "The", "ing", "caf", "cafe", "ab", "\U0001f44d", "cls"]
    pieces = letters + ["##" + letter for letter in letters if chooser.random() < 0.8]
    pieces += words + ["##" + word for word in words]
    # Characters that a reader of lines could take for the end of one.
    pieces += ["\u2028x", "\x85y"]
    chooser.shuffle(pieces)
    return ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]


def _make_bert(folder, options):
    """Have `BertTokenizerFast` write a random WordPiece vocabulary and what belongs to it."""
    vocab = "".join(piece + "\n" for piece in _wordpieces(seed=len(options)))
    (folder / "vocab.txt").write_text(vocab, encoding="utf-8", newline="\n")
    theirs = transformers.BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), **options)
    theirs.save_pretrained(folder)
    return folder, theirs


def _make_roberta(folder, options):
    """Have `RobertaTokenizerFast` write a byte-level BPE that was trained on two lines."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        CORPUS,
        vocab_size=350,
        min_frequency=1,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        show_progress=False,
    )
    trained.save_model(str(folder))
    files = {"vocab_file": folder / "vocab.json", "merges_file": folder / "merges.txt"}
    paths = {name: str(path) for name, path in files.items()}
    theirs = transformers.RobertaTokenizerFast(**paths, **options)
    theirs.save_pretrained(folder)
    return folder, theirs


BERTS = {
    "uncased": {},
    "cased": {"do_lower_case": False},
    "accents": {"strip_accents": False},
    "no-chinese": {
        "do_lower_case": False,
        "strip_accents": True,
        "tokenize_chinese_chars": False,
    },
}
ROBERTAS = {"no-prefix": {"add_prefix_space": False}, "prefix": {"add_prefix_space": True}}


@pytest.fixture(scope="session", params=[*BERTS, *ROBERTAS])
def any_folder(request, tmp_path_factory):
    """A folder that `save_pretrained` wrote, and the tokenizer that wrote it, in all kinds."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param in BERTS:
        return _make_bert(folder, BERTS[request.param])
    return _make_roberta(folder, ROBERTAS[request.param])


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """The same for a lower-casing WordPiece tokenizer alone."""
    return _make_bert(tmp_path_factory.mktemp("bert"), {})


@pytest.fixture(scope="session", params=list(ROBERTAS))
def roberta_folder(request, tmp_path_factory):
    """The same for byte-level BPE alone."""
    return _make_roberta(tmp_path_factory.mktemp("roberta"), ROBERTAS[request.param])
