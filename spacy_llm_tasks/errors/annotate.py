"""Messages 8xx: annotation of a corpus. 800-839 what goes in and comes out, 840-879 the run."""


class AnnotateErrors:
    E800 = (
        "No file to annotate at {path}. Expected a file, a folder or a pattern of files that end "
        "in {expected} (all but the last two also with .gz or .zst behind), or '-' for the "
        "standard input. Check the path."
    )
    E801 = (
        "{path} is of no kind that can be annotated. Expected a regular file whose name ends in "
        "{expected}. Rename or convert it, or narrow the pattern."
    )
    E802 = "Cannot read {path}: {reason}. Check its permissions, or leave it out."
    E803 = (
        "{path} has no texts under {column!r}. It has: {found}. Name the column or key that holds "
        "the text (text_column)."
    )
    E804 = (
        "Column {column!r} of {path} cannot hold ids: it is of type {found}, expected strings or "
        "whole numbers. Name another column (id_column)."
    )
    E805 = (
        "{path} has several columns called {column!r}, and their values could not be told apart. "
        "Rename all but one."
    )
    E806 = "{name} must be {expected}, found {found!r}."
    E807 = (
        "The embedding of {id!r} has {found} numbers, but those of this run have {expected}. Give "
        "the width that the pipeline makes, or none."
    )
    E808 = (
        "Column {column!r} has a value that is no {expected} ({reason}). The input has changed "
        "since the run was planned: begin a new one."
    )
    E809 = "A value of type {found} cannot be written as JSON. Leave its column out."
    E810 = "Cannot write {path}: the rows were made without {part!r}. Make them with it."
    E811 = (
        "The register of ids {path} cannot be used ({reason}). Check that the disk is not full and "
        "that no other run uses the folder."
    )
    E812 = (
        "Two documents have the id {id!r}: {first} and {second}. Give one another id, or let the "
        "later one be numbered (duplicate_ids = 'number')."
    )
    E840 = (
        "The output folder is in use by another run ({owner}, {path}). Wait for it, stop it, or "
        "choose another folder."
    )
    E841 = (
        "Cannot go on with the run in {folder}, which was made of other things:\n{changes}\nBring "
        "back what was there before, or start anew in another folder."
    )
    E842 = (
        "{path} cannot be read ({problem}), so nothing is known of the run in its folder. Start "
        "anew in another folder."
    )
    E843 = (
        "The disk of the output folder is full: {problem}. Nothing that was finished is lost. Make "
        "room, then go on with --resume."
    )
    E844 = (
        "A worker cannot work: {problem}. What is finished is kept: mend the cause, then go on "
        "with --resume."
    )
    E845 = (
        "Workers end before they have loaded the pipeline ({how}). What they wrote about it stands "
        "above; by signal 9 (SIGKILL) the system ends processes when memory is short: try fewer "
        "workers."
    )
    E846 = (
        "Shard {number} has ended {n} workers, but none of them while it annotated a document. "
        "Memory may be short: go on with --resume and fewer workers, or with smaller shards in "
        "another folder."
    )
    E847 = "The component '{component}' has returned no Doc. Every component must."
    E848 = "There is no option {name!r}. Known: {known}."
    E850 = (
        "There is no spaCy pipeline in {path}, nor a package of that name. Expected a folder with "
        "a config.cfg, as `nlp.to_disk` writes it."
    )
    E851 = (
        "Workers import the program that starts them, and this one would start workers again. Put "
        "the call of annotate_corpus under `if __name__ == '__main__':`."
    )
    E852 = (
        "{folder} has a run already. Add --resume to go on with it, or to finish what is missing; "
        "for a new run choose another folder."
    )
    E853 = "{folder} holds other files ({found}). Choose a folder that is empty or not there yet."
    E854 = (
        "Parquet needs the package `pyarrow`. Install it with `pip install "
        "'spacy-llm-tasks[annotate]'`, or write another format (--format jsonl)."
    )
