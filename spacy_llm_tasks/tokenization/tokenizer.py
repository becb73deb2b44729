"""`PieceTokenizer`: a checkpoint's own tokenizer behind one small interface.

The pieces of a document are made from its *text*, as the checkpoint's tokenizer would make them,
and meet spaCy's tokens only afterwards, by character offsets (`alignment.py`). Cutting word by word
instead would change the pieces wherever the two tokenizers disagree on what a word is, and a
pretrained model does worse on pieces it has not seen in training.
"""

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..errors import Errors
from ..files import write_together
from .blanks import BLANKS, SPACE, without_blanks
from .files import read_folder, tokenizer_from_state
from .pieces import Pieces, SpecialPieces
from .surrogates import without_surrogates

# What `to_folder` writes, in this order: who finds the last one finds them all.
FILES = ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json")
# What is kept of a tokenizer_config.json: settings, and no paths of somebody else's machine.
_KEPT_SETTINGS = (
    "add_prefix_space",
    "additional_special_tokens",
    "clean_up_tokenization_spaces",
    "do_lower_case",
    "model_max_length",
    "strip_accents",
    "tokenize_chinese_chars",
    "tokenizer_class",
)


class PieceTokenizer:
    """Cut texts into pieces, with character offsets.

    Made by `from_folder`, `from_bytes` or `train_tokenizer`. Texts are never truncated or padded,
    and no special pieces are added around them; a text that spells out a special piece ("[SEP]")
    has that piece, as in `transformers`.

    kind (str): "wordpiece", "bpe", "unigram" or "wordlevel".
    n_pieces (int): rows that a model's piece table needs, one more than the highest id.
    special (SpecialPieces): ids of the special pieces.
    others (tuple of int): ids of further pieces that stand for no text, such as placeholders.
    n_between (int): separators that stand between the two texts of a pair.
    """

    kind: str
    n_pieces: int
    special: SpecialPieces
    others: tuple[int, ...]
    n_between: int

    def __init__(
        self, tokenizer: Tokenizer, *, names: dict[str, str], settings: dict[str, Any] | None = None
    ) -> None:
        """Wrap a tokenizer. `from_folder` and `from_bytes` are the usual ways in.

        tokenizer (Tokenizer): a tokenizer of the `tokenizers` library; not changed.
        names (dict): special pieces by role: `cls`, `sep`, `pad`, and if there are any, `unk` and
            `mask`.
        settings (dict | None): what `tokenizer_config.json` shall say on export.
        RAISES (ValueError): if a name is not in the vocabulary or `cls`, `sep` or `pad` is missing.
        """
        self._json = tokenizer.to_str()
        self._names = dict(names)
        self._settings = {
            key: value for key, value in (settings or {}).items() if key in _KEPT_SETTINGS
        }
        # A copy of our own, without the part that adds special pieces and moves offsets.
        self._tokenizer = tokenizer_from_state(
            {**json.loads(self._json), "post_processor": None}, "this tokenizer"
        )
        # A pair has these, one piece that opens it and one that closes it.
        self.n_between = max(1, tokenizer.num_special_tokens_to_add(is_pair=True) - 2)
        self.kind = type(self._tokenizer.model).__name__.lower()
        # WordPiece drops blanks before it cuts. Byte-level pieces may hold the space before a word;
        # pieces of Unigram stand for any blank as "\u2581".
        self._blanks = {"wordpiece": None, "unigram": BLANKS}.get(self.kind, SPACE)
        vocab = self._tokenizer.get_vocab(with_added_tokens=True)
        missing = [
            role
            for role in ("cls", "sep", "pad", *names)
            if role not in names or names[role] not in vocab
        ]
        if missing:
            keys = ", ".join(f"{role}_token" for role in dict.fromkeys(missing))
            raise ValueError(Errors.E204.format(path="this tokenizer", keys=keys))
        self.n_pieces = max(vocab.values()) + 1
        self.special = SpecialPieces(**{role: vocab[name] for role, name in names.items()})
        added = self._tokenizer.get_added_tokens_decoder()
        roles = {vocab[name] for name in names.values()}
        self.others = tuple(i for i in sorted(added) if added[i].special and i not in roles)

    @classmethod
    def from_folder(cls, path: str | Path) -> "PieceTokenizer":
        """Read a published tokenizer: `tokenizer.json`, else `vocab.txt` (WordPiece), else
        `vocab.json` and `merges.txt` (byte-level BPE), with `tokenizer_config.json` and
        `special_tokens_map.json` where they exist. Explicit settings of `tokenizer_config.json`
        (`do_lower_case`, `strip_accents`, `tokenize_chinese_chars`, `add_prefix_space`) win.

        path (str | Path): the folder.
        RETURNS (PieceTokenizer): the tokenizer.
        RAISES (FileNotFoundError): if there is no tokenizer in the folder.
        RAISES (ValueError): if a file is damaged or lacks special pieces; the file is named.
        """
        tokenizer, names, settings = read_folder(Path(path))
        return cls(tokenizer, names=names, settings=settings)

    @classmethod
    def from_bytes(cls, data: bytes) -> "PieceTokenizer":
        """Read what `to_bytes` wrote.

        data (bytes): the bytes.
        RETURNS (PieceTokenizer): the tokenizer.
        RAISES (ValueError): if the bytes are damaged or something else.
        """
        try:
            state = json.loads(data)
            tokenizer = tokenizer_from_state(state["tokenizer"], "the stored tokenizer")
            return cls(tokenizer, names=state["special"], settings=state["settings"])
        except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
            raise ValueError(Errors.E205.format(error=repr(error))) from error
        except json.JSONDecodeError as error:
            raise ValueError(Errors.E205.format(error=error)) from error

    def to_bytes(self) -> bytes:
        """Write the whole tokenizer, for `from_bytes`.

        RETURNS (bytes): JSON in UTF-8; equal tokenizers give equal bytes.
        """
        state = {
            "special": self._names,
            "settings": self._settings,
            "tokenizer": json.loads(self._json),
        }
        return json.dumps(state, ensure_ascii=False).encode("utf-8")

    def to_folder(self, path: str | Path) -> None:
        """Write `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`, which
        `transformers` loads to the same pieces.

        path (str | Path): the folder, made if it is not there.
        RAISES (OSError): if they cannot be written; a tokenizer that was there stays as it was.
        """
        special = {f"{role}_token": name for role, name in sorted(self._names.items())}
        contents = ({**self._exported_settings(), **special}, special, json.loads(self._json))
        folder = Path(path)
        files = {
            folder / name: f"{json.dumps(content, ensure_ascii=False, indent=2)}\n".encode()
            for name, content in zip(FILES, contents, strict=True)
        }
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            write_together(files)
        except BaseException:
            if is_new:
                with suppress(OSError):  # somebody else's file in it
                    folder.rmdir()
            raise

    def encode(self, texts: Sequence[str]) -> Pieces:
        """Cut texts into pieces, all texts at once and on several cores.

        Nothing is truncated, padded or added. Lone surrogates, which no encoding of the text can
        hold, are read as U+FFFD. Offsets leave out the spaces that byte-level and Unigram
        vocabularies keep in their pieces, so a piece that is nothing but spaces is empty.

        texts (sequence of str): B texts.
        RETURNS (Pieces): their pieces.
        RAISES (ValueError): if something else than a string is among the texts.
        """
        if isinstance(texts, str):
            raise ValueError(Errors.E206.format(position=0, found="a single string"))
        batch = list(texts)
        _announce_threads()
        try:
            encodings = self._tokenizer.encode_batch(batch, add_special_tokens=False)
        except TypeError:
            for position, text in enumerate(batch):
                if not isinstance(text, str):
                    found = type(text).__name__
                    raise ValueError(Errors.E206.format(position=position, found=found)) from None
            batch = [without_surrogates(text) for text in batch]
            encodings = self._tokenizer.encode_batch(batch, add_special_tokens=False)
        lengths = np.fromiter(map(len, encodings), dtype=np.int64, count=len(encodings))
        total = int(lengths.sum())
        # One flat iterator per array is the fastest way out of the Rust objects that was measured:
        # 1.5 times an array per text, and no lists of all offsets are held.
        ids = np.fromiter(
            chain.from_iterable(encoding.ids for encoding in encodings), dtype=np.int64, count=total
        )
        offsets = np.fromiter(
            chain.from_iterable(chain.from_iterable(encoding.offsets for encoding in encodings)),
            dtype=np.int64,
            count=2 * total,
        ).reshape(total, 2)
        starts, ends = offsets[:, 0].copy(), offsets[:, 1].copy()
        if self._blanks is not None:
            starts, ends = without_blanks(batch, starts, ends, lengths, blanks=self._blanks)
        return Pieces(ids=ids, starts=starts, ends=ends, lengths=lengths)

    def spell(self, ids: Iterable[int]) -> list[str]:
        """Name pieces as the vocabulary writes them ("##ing", "\u0120the", "\u2581the").

        ids (iterable of int): piece ids.
        RETURNS (list of str): a name for each; "" for an id that the vocabulary leaves free.
        """
        return [self._tokenizer.id_to_token(int(i)) or "" for i in ids]

    def decode(self, ids: Iterable[int]) -> str:
        """Put a text together from pieces, special ones left out.

        ids (iterable of int): piece ids.
        RETURNS (str): the text; what the normalizer dropped (case, accents, for WordPiece also
            spaces) does not come back.
        """
        return self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=True)

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return PieceTokenizer.from_bytes, (self.to_bytes(),)

    def _exported_settings(self) -> dict[str, Any]:
        """Spell out what `transformers` would otherwise replace by the defaults of its classes."""
        state = json.loads(self._json)
        found: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
        normalizer, splitter = state.get("normalizer") or {}, state.get("pre_tokenizer") or {}
        if normalizer.get("type") == "BertNormalizer":
            found["tokenizer_class"] = "BertTokenizer"
            found["do_lower_case"] = normalizer["lowercase"]
            found["strip_accents"] = normalizer["strip_accents"]
            found["tokenize_chinese_chars"] = normalizer["handle_chinese_chars"]
        if splitter.get("type") == "ByteLevel":
            found["add_prefix_space"] = splitter["add_prefix_space"]
            if (state.get("post_processor") or {}).get("type") == "RobertaProcessing":
                found["tokenizer_class"] = "RobertaTokenizer"
        return {**found, **self._settings}


_threads_announced = False


def _announce_threads() -> None:
    """Keep the library from warning on stderr in every forked worker that it has stopped using
    threads: it is told so at the fork, unless the user has decided with TOKENIZERS_PARALLELISM."""
    global _threads_announced
    if not _threads_announced and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork)
    _threads_announced = True


_restore = False


def _before_fork() -> None:
    global _restore
    _restore = "TOKENIZERS_PARALLELISM" not in os.environ
    if _restore:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _after_fork() -> None:
    if _restore:
        os.environ.pop("TOKENIZERS_PARALLELISM", None)
