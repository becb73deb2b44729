"""Every error message of the package, under a code that never changes its meaning.

A message says what was found, what was expected and what to do next. Codes are grouped by room:
1xx nn and weights, 2xx tokenization, 3xx corpora and scoring, 4xx layers and pipeline,
5xx training and the command line.
"""


class _ErrorsWithCodes(type):
    def __getattribute__(cls, code: str) -> str:
        message = super().__getattribute__(code)
        return message if code.startswith("__") else f"[{code}] {message}"


class Errors(metaclass=_ErrorsWithCodes):
    # 1xx: nn and weights
    E101 = (
        "Unknown setting of the Transformer: {unknown}. Known settings: {known}. "
        "Check the spelling in your config."
    )
    E102 = (
        "The Transformer's setting '{name}' must be {expected}, but is {found!r}. "
        "Correct it in your config (numbers are written without quotes)."
    )
    E103 = (
        "The width {width} of the Transformer cannot be split over {n_heads} heads. "
        "Choose 'n_heads' so that it divides 'width'."
    )
    E104 = (
        "Rotary positions turn pairs of numbers, but a head is {head_width} wide. "
        "Choose 'width' and 'n_heads' so that width / n_heads is even."
    )
    E105 = (
        "Sequence lengths must be whole numbers of at least 1 in one dimension, but found {found}. "
        "Leave empty sequences out of the batch."
    )
    E106 = (
        "The batch has {n_pieces} pieces, but its packing describes {n_rows} rows. "
        "Build the packing from the lengths of the same sequences."
    )
    E107 = (
        "A sequence of {found} pieces is longer than the {limit} positions the Transformer has "
        "learned. Split the text into windows of at most {limit} pieces."
    )
    E108 = "Unknown kernel {found!r}. Expected one of: {known}."
    E109 = (
        "Segment ids were given, but this Transformer has no segment table (n_segments is 0). "
        "Leave 'segments' out."
    )
    E110 = (
        "This torch {version} does not have the oneDNN linear kernel. "
        "Use the kernel 'plain', or leave the choice to the package."
    )

    # 2xx: tokenization

    # 3xx: corpora and scoring
    E300 = (
        "The stored {what} were written for a text of {expected} characters, but this Doc has "
        "{found}. They were copied along by `as_doc(copy_user_data=True)` or by hand. Use "
        "`spacy_llm_tasks.annotations.slice_doc(span)` to cut a Doc with its annotations, or remove "
        "doc.user_data[{key!r}]."
    )
    E301 = (
        "Relation argument {text!r} (characters {start}-{end}) does not fall on token boundaries: "
        "the Doc was retokenized across it. Read the relations before merging tokens, or set them "
        "again with `set_relations`."
    )
    E302 = "Relation {what} belongs to another Doc. Take both spans from the Doc being annotated."
    E303 = "The {what} of {found!r} must be a number between 0 and 1."
    E304 = (
        "{what} must be a {expected}, found {found!r}. See the docstring of `{function}` for the form."
    )
    E305 = "{n_spans} spans but {n_scores} scores: pass one score per span."
    E310 = "No such file: {path}. Check the path."
    E311 = "{path} holds no {what}. Check that it is the right file and that --format is right."
    E312 = (
        "{path} is not valid {encoding}: byte offset {offset} (line {line}) cannot be decoded "
        "({reason}). Name the file's encoding with --encoding, for example --encoding latin-1."
    )
    E313 = "{name} must be one of {expected}, found {found!r}."
    E314 = (
        "{path}:{line}: there is no column {column} (the line has {found}). Columns count from 0, "
        "negative numbers from the end."
    )
    E315 = (
        "{path}: cannot tell which column holds the label ({reason}). Say so with --order "
        "label-text or --order text-label, or with --text-column and --label-column."
    )
    E316 = "{path}: no column named {column!r} in the header. It has: {found}."
    E317 = (
        "{path}: cannot tell the format from its name or first lines. Name it with --format: "
        "{expected}."
    )
    E318 = (
        "Nothing in {path} could be used: {reasons}. Nothing was written. Check --format and the "
        "places listed above."
    )
    E319 = "Cannot write {path}: the name must end in {expected}."
    E320 = "{what} {found!r} is not of the form {expected}."

    # 4xx: layers and pipeline
    E401 = (
        "The {role} has no weights yet. Call `nlp.initialize()` first, or load a trained pipeline "
        "with `spacy.load()`."
    )
    E402 = (
        "The saved weights do not belong to this model: it misses {missing} and does not know "
        "{unknown}. Load them with the config that they were saved with."
    )
    E404 = (
        "The config asks for {key} = {wanted}, but the checkpoint has {found}. Set it to {found}, "
        "or to null to let the checkpoint decide."
    )
    E405 = (
        "The tokenizer knows {found} pieces, but the encoder has embeddings for {expected}: they do "
        "not belong together. Use the tokenizer that lies beside the weights."
    )
    E406 = "Found window = {window} and stride = {stride}, expected 0 < stride <= window (pieces)."
    E407 = (
        "A document reached this component before an encoder had read it. Put '{upstream}' (a "
        "`trf_encoder`) before it in the pipeline, and check that it is not disabled or excluded."
    )
    E408 = (
        "This component needs the {view}, which only a `trf_encoder` in the same pipeline gives "
        "(upstream '{upstream}'). Put one before it, or choose a setting that reads token rows."
    )
    E403 = "Weight '{key}' has shape {found}, expected {expected}."

    # 5xx: training and the command line
    # 58x: benchmarks
    E581 = (
        "The benchmark set '{name}' has no file {path}. Point --data at the folder that holds the "
        "benchmark data, or leave the set out with --sets."
    )
    E582 = "Unknown benchmark set '{name}'. Known: {known}."
    E583 = "Unknown side '{side}'. Known: {known}."
    E584 = "Unknown benchmark task '{task}', expected 'ner' or 'textcat'."
    E585 = (
        "{path} is not a whole result file of this benchmark ({error}). Delete it: the run is then "
        "done again."
    )
    E586 = (
        "No weights at {path}. --weights must name a folder with config.json, a tokenizer and "
        "model.safetensors."
    )
    E587 = "--{option} must be {expected}, found {found!r}."
    pass


class Warnings(metaclass=_ErrorsWithCodes):
    W300 = (
        "{owner}._.{name} is already taken by another package and is left to it. Use the functions "
        "of spacy_llm_tasks.annotations (get_{name}, ...) instead."
    )
