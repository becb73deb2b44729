"""Messages 2xx: tokenization."""


class TokenizationErrors:
    E201 = (
        "No tokenizer in {folder}. Expected tokenizer.json, or vocab.txt (WordPiece), or "
        "vocab.json with merges.txt (byte-level BPE). Name a folder with a complete checkpoint."
    )
    E202 = "Cannot read the tokenizer file {path}: {error}. Fetch the checkpoint again."
    E203 = (
        "The tokenizers library cannot use {source}: {error}. "
        "Fetch the checkpoint again, or save its tokenizer with a current version of that library."
    )
    E204 = (
        "Special pieces are missing from {path}: {keys}. Name pieces of the vocabulary under these "
        "keys in special_tokens_map.json beside it."
    )
    E205 = (
        "The stored tokenizer is damaged or of another kind: {error}. "
        "Load the pipeline from an intact copy, or initialize it again."
    )
    E206 = (
        "Item {position} to cut into pieces is {found}. Expected a list of strings, such as "
        "[doc.text for doc in docs]."
    )
    E210 = (
        "Tokens of {tokens} texts cannot be aligned to pieces of {pieces} texts. "
        "Pass the same texts in the same order to both."
    )
    E211 = (
        "Found {starts} token starts and {ends} token ends for {total} tokens. "
        "Pass one start and one end for each token."
    )
    E212 = (
        "'{name}' of the windows must be a whole number, but is {value!r}. "
        "Correct it in your config (numbers are written without quotes)."
    )
    E213 = (
        "A window of {window} pieces holds nothing. Set 'window' to at least 1, usually 128 to 510."
    )
    E214 = (
        "The stride {stride} does not fit windows of {window} pieces: pieces between two windows "
        "would be left out. Set 'stride' between 1 and {window}, usually three quarters of it."
    )
    E215 = "A document cannot have {length} pieces. Pass the lengths that the tokenizer returned."
    E216 = (
        "The first text of pair {item} has {found} pieces; at most {most} leave room for a second "
        "text. Shorten it, or swap the two: only a second text is read in windows."
    )
    E217 = (
        "Expected a list of texts, or a list of pairs of texts, but found {found}. Give one kind "
        "at a time."
    )
    E218 = (
        "The first text of pair {item} takes more than one window, so its second text cannot be "
        "read together with it. Shorten the question."
    )
