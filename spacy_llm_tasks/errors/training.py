"""Messages 5xx up to E579: training and the command line."""


class TrainingErrors:
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
    E525 = (
        "{path}, line {line}: expected a JSON object with a 'text', and a text or a whole number "
        "as its 'id' if it has one, but found: {found}"
    )
    E526 = "Name either files to ask, or an index with --corpus."
    E530 = (
        "{path} is {found}, which would be replaced. Expected nothing there, an empty folder, or "
        "an earlier result (a folder with {marker}). Name another folder."
    )
    E531 = "{path} cannot be written: {reason}. Name another file."
    E532 = "{path} is a file, but a folder is needed to write to. Name another --output."
    E533 = (
        "--hold-out names the output itself, {path}: one would replace the other. Name another "
        "file for the documents that are held out."
    )
    E534 = (
        "{path} is a folder. Folders are read of brat (.ann files beside their .txt files) and of "
        "markup (.txt files) only: name a file, and convert several one by one."
    )
    E535 = "The settings do not fit the config of {path}:\n{lines}"
    E536 = (
        "training.score_weights names '{name}', which no component scores. Did you mean '{near}'? "
        "Correct the name, or take it out."
    )
    E537 = (
        "Training was finished, but {path} is not there any more. Bring it back, or train without "
        "--resume to start from the beginning."
    )
    E538 = (
        "The pipeline has no encoder (`trf_encoder`) of the name '{name}'. Its encoders: {known}. "
        "Name one with --component."
    )
    E539 = (
        "{path} holds the float32 weights, which quantizing into the same folder would lose. Name "
        "another one."
    )


class TrainingWarnings:
    W501 = "The checkpoint {path} is damaged: {problem}. Using the one before it."
    W502 = "The stopped run had another {change}. The result may differ in the last bits."
    W503 = "Checkpoints of a stopped run in {folder} are discarded, because --resume was not given."
    W504 = (
        "training.score_weights names {names}, which no component scores: the weight counts for "
        "nothing. Scores there are: {known}."
    )
    W505 = (
        "training.score_weights names {names}, for which the dev data has no gold: the weight "
        "counts for nothing. Annotate the dev data, or take the name out."
    )
