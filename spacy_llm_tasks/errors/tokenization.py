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
    E219 = (
        "Text {position} to train a tokenizer on is {found}. Expected strings, one for each "
        "document."
    )
    E220 = "The tokenizer's {name} cannot be {found!r}. Choose one of: {known}."
    E221 = "The tokenizer's {name} must be a whole number of at least 1, but is {value!r}."
    E222 = "{name!r} cannot be a special piece: {reason}."
    E223 = (
        "A vocabulary of {size} pieces is too small for kind {kind!r}: its special pieces and "
        "characters alone need {least}. Ask for more, usually 8,000 to 50,000."
    )
    E224 = (
        "There is nothing to learn a vocabulary from: {n_texts} texts, in which no {what} "
        "occurs {min_frequency} times. Check the inputs, or lower the minimum frequency."
    )
    E225 = (
        "The texts can give {found} pieces at most, but {size} are asked for ({n_texts} texts of "
        "{n_characters} characters). Set the size to {found} or less, add text, or lower the "
        "minimum frequency."
    )
    E226 = "{path} is a file. Name a folder for the tokenizer: it is made of several files."
    E227 = (
        "{folder} holds other files than a tokenizer's ({found}), and a new tokenizer there would "
        "not fit them. Name a folder that is empty or not there yet."
    )
