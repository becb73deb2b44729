"""Read the files in which published checkpoints keep their tokenizer.

Three layouts are known: `tokenizer.json` (everything in one file, of the `tokenizers` library),
`vocab.txt` (WordPiece: one piece a line) and `vocab.json` + `merges.txt` (byte-level BPE). Beside
each of them, `tokenizer_config.json` and `special_tokens_map.json` hold settings and the names of
the special pieces. All of them are turned into the first form, as a plain dictionary.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from tokenizers import pre_tokenizers as splitters

from ..errors import Errors

# Names of the special pieces where the files are silent: BERT's, RoBERTa's, and GPT-2's only one.
_NAMES = {
    "cls": ("[CLS]", "<s>", "<|endoftext|>"),
    "sep": ("[SEP]", "</s>", "<|endoftext|>"),
    "pad": ("[PAD]", "<pad>", "<|endoftext|>"),
    "unk": ("[UNK]", "<unk>", "<|endoftext|>"),
    "mask": ("[MASK]", "<mask>"),
}
# The keys of tokenizer_config.json and special_tokens_map.json, in the order they are looked up.
_KEYS = {
    "cls": ("cls_token", "bos_token"),
    "sep": ("sep_token", "eos_token"),
    "pad": ("pad_token",),
    "unk": ("unk_token",),
    "mask": ("mask_token",),
}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


def read_folder(folder: Path) -> tuple[Tokenizer, dict[str, str], dict[str, Any]]:
    """Read a tokenizer from a folder in any of the published layouts.

    folder (Path): the folder.
    RETURNS (tuple): the tokenizer without truncation and padding, the names of its special pieces
        by role (`cls`, `sep`, `pad`, `unk`, `mask`; missing roles left out), and the settings of
        `tokenizer_config.json`.
    RAISES (ValueError): if a file is damaged or special pieces are missing.
    RAISES (FileNotFoundError): if there is no tokenizer in the folder.
    """
    settings = _read_object(folder / "tokenizer_config.json", default={})
    declared = {**settings, **_read_object(folder / "special_tokens_map.json", default={})}
    whole, vocab = folder / "tokenizer.json", folder / "vocab.txt"
    pairs, merges = folder / "vocab.json", folder / "merges.txt"
    if whole.is_file():
        source, state = whole, _read_object(whole)
        tokenizer = tokenizer_from_state(_with_settings(state, settings), whole)
    elif vocab.is_file():
        source, tokenizer = vocab, _wordpiece(vocab, settings, declared)
    elif pairs.is_file() and merges.is_file():
        source, tokenizer = pairs, _byte_bpe(pairs, merges, settings)
    else:
        raise FileNotFoundError(Errors.E201.format(folder=folder))
    names = _special_names(tokenizer, declared)
    missing = [role for role in ("cls", "sep", "pad") if role not in names]
    if isinstance(tokenizer.model, (models.WordPiece, models.Unigram)) and "unk" not in names:
        missing.append("unk")
    if missing:
        keys = ", ".join(f"{role}_token" for role in missing)
        raise ValueError(Errors.E204.format(path=source, keys=keys))
    _mark_special(tokenizer, names, declared)
    if not whole.is_file():
        tokenizer.post_processor = post_processor(tokenizer, names)
    return tokenizer, names, settings


def tokenizer_from_state(state: dict[str, Any], source: object) -> Tokenizer:
    """Build a tokenizer from the content of a `tokenizer.json`, never cutting or padding.

    state (dict): the content. Its stored truncation and padding are ignored.
    source (object): what to name in an error, usually a path.
    RETURNS (Tokenizer): the tokenizer.
    RAISES (ValueError): if the library cannot make sense of it.
    """
    plain = {**state, "truncation": None, "padding": None}
    try:
        return Tokenizer.from_str(json.dumps(plain, ensure_ascii=False))
    except Exception as error:  # the Rust side raises bare Exceptions
        raise ValueError(Errors.E203.format(source=source, error=error)) from error


def _read_object(path: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    if default is not None and not path.is_file():
        return default
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(Errors.E202.format(path=path, error=error)) from error
    if not isinstance(found, dict):
        message = f"expected an object, found {type(found).__name__}"
        raise ValueError(Errors.E202.format(path=path, error=message))
    return found


def _with_settings(state: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Let what `tokenizer_config.json` says explicitly win over `tokenizer.json`, as published
    checkpoints mean it: some were lower-cased in the one file only."""
    normalizer, splitter = state.get("normalizer"), state.get("pre_tokenizer")
    if isinstance(normalizer, dict) and normalizer.get("type") == "BertNormalizer":
        for key, name in (
            ("do_lower_case", "lowercase"),
            ("strip_accents", "strip_accents"),
            ("tokenize_chinese_chars", "handle_chinese_chars"),
        ):
            if key in settings:
                normalizer[name] = settings[key]
    if isinstance(splitter, dict) and splitter.get("type") == "ByteLevel":
        for part in (splitter, state.get("post_processor") or {}):
            if "add_prefix_space" in settings and "add_prefix_space" in part:
                part["add_prefix_space"] = settings["add_prefix_space"]
    return state


def _wordpiece(path: Path, settings: dict[str, Any], declared: dict[str, Any]) -> Tokenizer:
    """WordPiece after BERT's own clean-up of the text (Devlin et al. 2019)."""
    try:
        # Lines end with a line feed only: published vocabularies hold U+0085 and U+2028 as pieces.
        lines = path.read_bytes().decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(Errors.E202.format(path=path, error=error)) from error
    if lines and not lines[-1]:
        lines.pop()
    unk = _content(declared.get("unk_token")) or _NAMES["unk"][0]
    tokenizer = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(lines)}, unk_token=unk)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = splitters.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def _byte_bpe(vocab: Path, merges: Path, settings: dict[str, Any]) -> Tokenizer:
    """Byte-level BPE (Radford et al. 2019), where every text can be spelled."""
    pairs = []
    try:
        lines = merges.read_bytes().decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(Errors.E202.format(path=merges, error=error)) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            message = f"line {number} is not a pair of pieces"
            raise ValueError(Errors.E202.format(path=merges, error=message))
        pairs.append((left, right))
    try:
        model = models.BPE(vocab=_read_object(vocab), merges=pairs)
    except ValueError:
        raise
    except Exception as error:  # the Rust side raises bare Exceptions
        raise ValueError(Errors.E203.format(source=merges, error=error)) from error
    tokenizer = Tokenizer(model)
    prefix = bool(settings.get("add_prefix_space", False))
    tokenizer.pre_tokenizer = splitters.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def post_processor(tokenizer: Tokenizer, names: dict[str, str]) -> Any:
    """The frame of special pieces that `transformers` puts around a text. We frame windows of
    pieces ourselves; it is stored so that an exported checkpoint works there.

    tokenizer (Tokenizer): the tokenizer that gets it.
    names (dict): its special pieces by role.
    RETURNS (PostProcessor): RoBERTa's frame for byte-level BPE, else BERT's.
    """
    cls, sep = names["cls"], names["sep"]
    ids = {name: tokenizer.token_to_id(name) for name in (cls, sep)}
    if isinstance(tokenizer.model, models.BPE):
        return processors.RobertaProcessing(
            sep=(sep, ids[sep]),
            cls=(cls, ids[cls]),
            trim_offsets=True,
            add_prefix_space=tokenizer.pre_tokenizer.add_prefix_space,
        )
    return processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=list(ids.items()),
    )


def _special_names(tokenizer: Tokenizer, declared: dict[str, Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    for role, keys in _KEYS.items():
        candidates = [_content(declared.get(key)) for key in keys]
        for name in (*candidates, *_NAMES[role]):
            if name is not None and tokenizer.token_to_id(name) is not None:
                names[role] = name
                break
    return names


def _mark_special(tokenizer: Tokenizer, names: dict[str, str], declared: dict[str, Any]) -> None:
    """Have special and added pieces recognised where a text spells them out, as `transformers`
    does. Special names that neither the vocabulary nor the list of added pieces holds are left out:
    the model has no row for them."""
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    entries: dict[str | None, Any] = dict.fromkeys(names.values())
    for keys in _KEYS.values():
        entries.update((_content(declared.get(key)), declared.get(key)) for key in keys)
    extra = declared.get("additional_special_tokens")
    entries.update((_content(entry), entry) for entry in extra or ())
    decoder = declared.get("added_tokens_decoder")
    numbered = decoder if isinstance(decoder, dict) else {}
    added = {_content(numbered[key]): numbered[key] for key in _ids(numbered)}
    # Added pieces in the order of their ids, because the library numbers them as they come.
    for name, entry in {**added, **{k: v for k, v in entries.items() if k not in added}}.items():
        is_missing = name is not None and tokenizer.token_to_id(name) is None
        if name is None or name in known or (is_missing and name not in added):
            continue
        given = entry if isinstance(entry, dict) else {}
        flags = {flag: bool(given[flag]) for flag in _FLAGS if flag in given}
        if name == "<mask>" and not flags:
            flags = {"lstrip": True, "normalized": False}  # RoBERTa's takes the space before it
        special = bool(given.get("special", True))
        add = tokenizer.add_special_tokens if special else tokenizer.add_tokens
        add([AddedToken(name, special=special, **{"normalized": False, **flags})])


def _content(entry: Any) -> str | None:
    """The name in a declaration, which is a string or `{"content": name, ...}`."""
    name = entry.get("content") if isinstance(entry, dict) else entry
    return name if isinstance(name, str) and name else None


def _ids(numbered: dict[str, Any]) -> list[str]:
    return sorted((key for key in numbered if key.isdecimal()), key=int)
