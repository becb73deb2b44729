"""Messages 3xx: corpora, annotations and scoring."""


class CorporaErrors:
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
    E311 = (
        "{path} holds no {what}. Check that it is the right file, and that --format is right where "
        "it was given."
    )
    E312 = (
        "{path} is not valid {encoding}: byte offset {offset} (line {line}) cannot be decoded "
        "({reason}). Save it as {encoding}, or name its encoding where the command takes one, for "
        "example --encoding latin-1."
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
    E321 = "{path} is not a whole .spacy file ({reason}). Convert or copy it again."
    E322 = (
        "{path}:{line}: not readable as CSV ({reason}). Check the quoting, or pass --separator tab."
    )
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
    E334 = "`{name}` of a corpus reader is {found}, expected 0 (for no limit) or more."
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
        "The weight {weight} of {name!r} does not fit. Weights are finite and above 0, and belong "
        "to corpora that are there: {known}."
    )
    E352 = "The corpus {name!r} of a mixed corpus has no examples. Check its path, or take it out."
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


class CorporaWarnings:
    W300 = (
        "{owner}._.{name} is already taken by another package and is left to it. Use the functions "
        "of spacy_llm_tasks.annotations (get_{name}, ...) instead."
    )
    W301 = "{path}: {n} items could not be used, the first at {place} ({reason})."
    W302 = (
        "Cutting documents of {path} to {max_length} tokens lost annotations across the cuts: "
        "{what}."
    )
    W303 = (
        "True in the gold, but unknown to the component: {found}. It knows {known}. What it "
        "predicts for those texts counts as wrong. Train with all labels, or correct their "
        "spelling."
    )
