"""Messages 7xx: pretraining, from raw text to a checkpoint."""


class PretrainingErrors:
    E700 = (
        "The corpus is empty: {paths} gave no text that could be used ({reason}). "
        "Check the paths and the limits in [corpus]."
    )
    E701 = (
        "No file to read at {path}. Expected a file, a folder or a pattern of files that end in "
        "{expected} (the first ones also with .gz or .zst behind), or 'pydoc:' for the "
        "documentation inside the installed Python. Check the path."
    )
    E702 = (
        "{path} is of no kind that can be read. Expected a name that ends in {expected}. Rename or "
        "convert it, or narrow the pattern."
    )
    E703 = (
        "{place}: the text is no UTF-8 ({detail}). Convert the file to UTF-8, or say what shall "
        "become of such texts: invalid = 'replace' puts a replacement character for what cannot be "
        "decoded, 'skip' leaves the document out; both are counted."
    )
    E704 = (
        "{path} has no text under {column!r}. It has: {found}. Name the key or column that holds "
        "the text with text_column."
    )
    E705 = (
        "{path} is damaged or ends too early, after line {line} ({reason}). Copy it again; to use "
        "what can be read of it, set invalid = 'skip' or 'replace'."
    )
    E706 = "{name} must be {expected}, found {found!r}."
    E707 = (
        "{what} need the package {package!r}, which is not installed. Install it with "
        "`pip install {package}`, or with what else it is used for: {extras}."
    )
    E708 = (
        "No documentation of Python was found in {folder}: this installation comes without the "
        "source of its library. Pass files of text in place of 'pydoc:'."
    )
    E709 = (
        "{folder} holds no whole prepared corpus ({reason}). Prepare it again with "
        "`spacy-llm-tasks corpus`."
    )
    E710 = (
        "{folder} holds other files than a prepared corpus ({found}), and preparing one would "
        "replace it. Name a folder that is empty or not there yet."
    )
    E711 = (
        "All {n} documents of the corpus were held out, because the share is {share}: there is "
        "nothing to train on. Set a smaller held_out, or cut the text into more documents "
        "(txt_documents)."
    )
    E712 = (
        "{path} is damaged or ends too early, after row {line} ({reason}). Copy it again, or write "
        "it anew: no reader goes on behind damage in a Parquet file."
    )
    E720 = (
        "There are no pieces in {folder}: it lacks a file of a piece store. Check the path, or "
        "write the store again."
    )
    E721 = (
        "The piece store in {folder} cannot be used: {problem}. Remove the folder and write it "
        "again."
    )
    E722 = (
        "The pieces in {folder} were cut by another tokenizer (hash {found}..., expected "
        "{expected}...). Remove the folder, or use the tokenizer that it belongs to."
    )
    E723 = (
        "{folder} holds something else than pieces, and was left alone. Choose another folder, or "
        "empty it."
    )
    E724 = (
        "Chunks of at most {length} pieces and at least {min_pieces} cannot be cut. Expected "
        "1 <= min_pieces <= length; correct [data]."
    )
    E725 = (
        "The objective '{objective}' hides pieces behind a mask piece, but the tokenizer has none. "
        "Choose a tokenizer with a mask, or another objective."
    )
    E726 = (
        "No chunk could be cut from the pieces in {folder}: all documents are empty or shorter "
        "than data.min_pieces. Lower it, or bring more text."
    )
    E727 = (
        "A micro-batch of {batch_pieces} pieces cannot hold one chunk of {longest} pieces, special "
        "ones included. Raise data.batch_pieces or lower data.length."
    )
    E730 = (
        "The setting '{name}' of the objective '{objective}' must be {expected}, but is {found!r}. "
        "Correct it in [objectives.{objective}]."
    )
    E731 = (
        "The objective '{objective}' compares a text with itself through different dropout, but "
        "this Transformer has none. Set 'dropout' in [objectives.{objective}], or that of the "
        "model."
    )
    E732 = "There is no objective '{name}'. Known are: {known}. Correct [objectives]."
    E733 = "Unknown setting '{name}' of the objective '{objective}'. {hint}"
    E734 = (
        "The objective '{objective}' trains a model of the kind '{needed}', but this one is of the "
        "kind '{found}'. Choose another objective, or set model.kind."
    )
    E735 = "The objective '{objective}' was given more than once. Give it once."
    E736 = "Unknown mode {found!r} of mixing objectives. Expected one of: {known}."
    E737 = (
        "The weights of objectives must be above 0, and there must be one at least, but they are "
        "{found}. Correct 'weight' in [objectives]."
    )
    E740 = "There is no {kind} {found!r}. Choose one of: {known}."
    E741 = "The setting {what} is {value}, which is out of range; expected {low} to {high}."
    E743 = (
        "Muon updates matrices, but was given a parameter of shape {shape} that stores {parts} of "
        "them one below the other. Leave it to AdamW."
    )
    E744 = (
        "The saved state and the model do not go together: '{key}' is in one of them only, or is "
        "of another optimizer. Go on with the settings of the stopped run, or start anew."
    )
    E745 = (
        "The saved '{key}' has shape {found}, expected {expected}: it is of another model. Go on "
        "with the settings of the stopped run, or start anew."
    )
    E746 = (
        "No checkpoint in {folder} is whole. Remove that folder and start again with --resume: the "
        "run then begins anew, with the corpus, tokenizer and pieces that it has."
    )
    E747 = (
        "The checkpoint {path} could not be written: {error}. The ones before it are untouched. "
        "Make room or mend the folder's rights, then go on with --resume."
    )
    E748 = (
        "precision 'fp16' needs a CUDA GPU, but the model is on {device}. Use 'bf16', which needs "
        "no scaling of the loss, or 'fp32'."
    )
    E749 = (
        "WORLD_SIZE says that several processes train together, but the environment lacks "
        "{missing}. Start them with `torchrun`, or unset WORLD_SIZE."
    )
    E750 = (
        "There is no device {device}: this process sees {count} CUDA GPUs. Start as many processes "
        "on each machine as it has GPUs, or train on 'cpu'."
    )
    E751 = (
        "PyTorch {version} cannot shard a model: that needs 2.6 or later. Update it, or set "
        "training.sharded to false."
    )
    E752 = "The first process could not go on: {error}"
    E753 = (
        "Weights and model do not go together: '{key}' is in one of them only. Are they of a model "
        "with other settings?"
    )
    E754 = (
        "The optimizer was to be stepped before the gradients were looked at. Call `clip` after "
        "the last `backward` of a step and before `step`."
    )
    E760 = "Unknown setting of the pretraining config: {name}. {hint}"
    E761 = (
        "The pretraining config has no objective. Add a section such as [objectives.masked] or "
        "[objectives.causal]."
    )
    E762 = (
        "The pretraining config says neither training.max_steps nor training.max_minutes: the run "
        "would have no end. Set one of them, or both."
    )
    E763 = "The pretraining config lacks {name}. Add it; it has no default."
    E764 = "The pretraining config's {name} must be {expected}, but is {found!r}."
    E765 = (
        "The loss of {names} is no finite number, so the run was stopped before its weights were "
        "spoilt. The micro-batches of this step are in {path}. Lower the learning rates or "
        "optimizer.clip_norm, or use a more precise training.precision, and go on with --resume "
        "from the last checkpoint."
    )
    E766 = "The pretraining config {path} cannot be read: {problem}."
    E767 = "There is no kind of model called {found!r}. Set model.kind to one of: {known}."
    E768 = "{path} is of the family {found!r}, which cannot be trained on. Known are: {known}."
    E769 = "{path} is of the kind {found!r}, but model.kind is {expected!r}. Change one of them."
    E770 = (
        "model.overrides sets {names}, which the checkpoint {path} decides. "
        "With model.init only these can be set: {known}."
    )
    E771 = "{folder} holds a run already. Go on with it by --resume, or choose another --output."
    E772 = (
        "The run in {folder} had other settings: {what}. Go on with those it had, or start anew "
        "in another folder."
    )
    E773 = "There is no checkpoint in {folder} to hand over."
    E774 = (
        "The {what} of the run in {folder} cannot be made again as it was: what it was made from "
        "has changed. Bring that back, or start anew in another folder."
    )
    E775 = (
        "Sequences would have up to {found} pieces (data.length {length}, and {framing} that frame "
        "it), but the model reads {limit} at most. Lower data.length to {most}{other}."
    )
    E776 = (
        "The objective 'contrastive' with a dropout of its own and training.recompute do not go "
        "together: what is computed again would have another dropout. Leave out 'dropout' in "
        "[objectives.contrastive] and set that of the model, or set training.recompute to false."
    )
    E777 = (
        "The tokenizer has {found} pieces, but the checkpoint {path} knows only {size}. Leave out "
        "tokenizer.path to use the checkpoint's own."
    )
    E778 = (
        "{folder} is there already, but was not made by this run. It was left alone: choose "
        "another --output."
    )
    E780 = (
        "{path} is no checkpoint: expected a folder with config.json, model.safetensors and the "
        "files of a tokenizer. {hint}"
    )
    E781 = (
        "{path} is no encoder but of the kind '{found}', which does not fill masks. Use "
        "`spacy-llm-tasks continue` to have it write, or give the folder of an encoder."
    )
    E782 = (
        "The encoder in {path} comes without the head that predicts pieces, so it cannot fill "
        "masks. Take the checkpoint from which the head was not removed, or train one with "
        "`spacy-llm-tasks pretrain` (model.init and the objective 'masked'); "
        "`spacy-llm-tasks neighbors` works without it."
    )
    E783 = "There is nothing to read in the text {text!r}. Give at least a word."
    E784 = (
        "The text has {found} pieces, special ones included, but the model was made for at most "
        "{limit}. Give a shorter text."
    )
    E785 = (
        "The tokenizer in {path} gives the piece {piece}, but the model has vectors for {n_pieces} "
        "pieces only: they do not belong together. Get both from the same checkpoint."
    )
    E786 = (
        "The tokenizer in {path} has no piece for masks, so nothing can be hidden. Name it as "
        "'mask_token' in special_tokens_map.json, if the model has learned one."
    )
    E787 = "The text has no mask to fill. Write {names} where a word is missing: {example!r}."
    E788 = (
        "{path} is an encoder: it reads both ways and cannot go on with a text. Use "
        "`spacy-llm-tasks fill-mask`, or give the folder of a decoder or an encoder-decoder."
    )
    E789 = (
        "The vocabulary cannot spell {word!r}: part of it becomes the piece for unknown text. "
        "Look for another word."
    )


class PretrainingWarnings:
    W700 = (
        "None of the {n} documents of the corpus was held out, because the share is {share}: there "
        "is nothing to evaluate on. Set a larger held_out, or cut the text into more documents "
        "(txt_documents)."
    )
    W720 = (
        "A micro-batch of {n} chunks from a single document gave the objective 'next_sentence' no "
        'pairs from different documents. Raise data.batch_pieces, or use negatives = "order".'
    )
    W740 = "The checkpoint {path} is damaged: {problem}. Trying the next one."
    W741 = (
        "The checkpoint {path} was just written, and is damaged already: {problem}. The ones "
        "before it are kept. Look at the disk."
    )
