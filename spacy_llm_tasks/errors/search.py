"""Messages 6xx: search."""


class SearchErrors:
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
    E620 = (
        "There is nothing to put into the search index {path}: the files hold no text, or "
        "nothing in them is an entry of its unit {unit!r}. Check the files, or choose another unit."
    )
    E621 = (
        "The search index {path} has the {what} {found!r}, which cannot become {wanted!r}. Leave "
        "out --{what}, or make another index."
    )
    E622 = (
        "The search index {path} holds entities, whose names answer no question. Ask an index of "
        "documents or sentences."
    )
    E623 = (
        "No document and no entry of the search index {path} has the id {id!r}. Nothing was "
        "removed. `search query --json` shows ids."
    )


class SearchWarnings:
    W601 = (
        "The graph of the search index {path} is not used, so a search takes longer: {error} "
        "`optimize` builds it again."
    )
