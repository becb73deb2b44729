"""Messages 4xx: layers and pipeline."""


class PipelineErrors:
    E401 = (
        "The {role} has no weights yet. Call `nlp.initialize()` first, or load a trained pipeline "
        "with `spacy.load()`."
    )
    E402 = (
        "The saved weights do not belong to this model: it misses {missing} and does not know "
        "{unknown}. Load them with the config that they were saved with."
    )
    E403 = "Weight '{key}' has shape {found}, expected {expected}."
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
        "A document reached {reader} before an encoder had read it. Put {encoder} before it in the "
        "pipeline, check that it is not disabled or excluded, and that no `trf_drop_tensors` "
        "stands between the two. An encoder that is frozen in training must be named in "
        "annotating_components."
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
        "The saved pipeline is not complete: {path} is missing. Save it again, or copy the whole "
        "folder."
    )
    E414 = "{path} is damaged or not a safetensors file ({error}). Save or copy the pipeline again."
    E415 = (
        "'{name}' reads from {encoder}, but none whose width is known stands before it in the "
        "pipeline. Correct the listener's `upstream` or the order, and initialize the encoder "
        "first; for an encoder of another kind, give the listener a `width`."
    )
    E416 = (
        "This component reads the encoder's {kind} rows, which need `spacy_llm_tasks.Listener.v1` "
        "on a `trf_encoder`; found the upstream '{upstream}'. Use that listener, or choose a "
        "pooling over token rows (mean, max, attention)."
    )
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
    E425 = "{name} must be {expected}, found {found!r}."
    E426 = (
        "No encoder is linked to the listener for '{upstream}', so it cannot read texts. Add a "
        "`trf_encoder` in front of the component that listens, or make the listener's `upstream` "
        "the name of the one that is there."
    )
    E427 = (
        "The encoder has the precision int8, which cannot be trained. Train it with precision = "
        "fp32 (or bf16) and load the result with "
        'spacy.load(path, config={"components.NAME.model.precision": "int8"}).'
    )
    E428 = (
        "The weights in {path} are not those that were saved: their checksum differs. Copy the "
        "pipeline again as a whole, or save it again."
    )
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
    E438 = (
        "The file {path} of [initialize] init_tok2vec holds no encoder of the kind 'trf_encoder': "
        "{error}. Write it with `spacy-llm-tasks weights init-tok2vec`, or with `spacy pretrain`."
    )
    E440 = (
        "The weights of the encoder were reduced to {found}, which cannot be trained. Train the "
        "pipeline that `quantize` was given, and reduce the result anew."
    )
    E441 = (
        "The weights of the encoder were reduced to {found}: it cannot predict with precision = "
        "{wanted}. Set precision = {found} in its `model`, or load the pipeline that `quantize` "
        "was given."
    )
    E442 = (
        "Only float32 weights can be reduced, to bf16 or int8; these are {found}. Choose one of "
        "the two as the precision, and start from a pipeline that was not reduced yet."
    )
    E443 = (
        "The weights of the encoder were reduced to {found}, which no published layout holds. "
        "Export the pipeline that `quantize` was given."
    )
    E444 = (
        "{path} has no `trf_encoder` whose precision could be chosen. Components there are: "
        "{components}."
    )
    E445 = (
        "With weights in {found}, {metric} loses {lost:.2f} points on the given data, more than "
        "the {most:.2f} of --at-most. Nothing was written. Choose another precision, or allow more."
    )
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
    E449 = (
        "The vector of a span is the mean of its tokens' rows, which '{name}' has dropped from "
        "this doc. Remove it from the pipeline (or exclude it: `spacy.load(path, "
        "exclude=['{name}'])`), or compare whole docs, whose embeddings are kept."
    )
    E450 = (
        "Weights in fewer bits (precision = int8, or a pipeline that was quantised) cannot be "
        "compiled. Load it with compiled = false, or with another precision."
    )
    E451 = (
        "The weights of the {role} are not those that were saved: their checksum differs. Load an "
        "intact copy."
    )
    E452 = (
        "'{name}' has {found} labels, but its head was saved with {expected}. Load labels and head "
        "that were saved together."
    )
    E453 = (
        "'{name}' was never initialized: its head has no weights. Call `nlp.initialize()`, or in a "
        "trained pipeline `nlp.get_pipe('{name}').initialize(lambda: examples, nlp=nlp)`. In a "
        "config, do not freeze it ([training] frozen_components) before it was trained."
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
    E460 = (
        "The weights have the padding at id {expected}, where the tokenizer has the piece {name!r} "
        "(its padding is at {found}): they do not belong together. Use the tokenizer that was "
        "published with the weights."
    )
    E461 = (
        "{path} has weights that were reduced to {found} already: the float32 ones are needed. "
        "Give the pipeline that `quantize` was given."
    )


class PipelineWarnings:
    W216 = (
        "A question, or another first text of a pair, has {found} pieces; its first {most} are "
        "read, to leave room for windows of its second text: '{text}...'. Shorten it."
    )
    W419 = (
        "The training data has labels that '{name}' does not know and will not learn: {unknown} "
        "(known: {known}). Initialize the component again with all labels, or take these out of "
        "the data."
    )
    W436 = (
        "'{name}' of the relation component names labels that the data does not have: {unknown}. "
        "Labels there are: {known}. Check the spelling."
    )
    W446 = (
        "Doc._.ask is already taken by another package and is left to it. Use "
        "`nlp.get_pipe(NAME).answer([doc], [question])` instead."
    )
    W460 = (
        "The tokenizer may not be the one that the weights were trained with: {reason}. Use the "
        "tokenizer that was published with the weights; if this is the one, all is well."
    )
