"""Messages 8xx: annotation of a corpus. 800-839 what goes in and comes out, 840-879 the run."""


class AnnotateErrors:
    E800 = (
        "No file to annotate at {path}{found}. Expected a file, a folder or a pattern of files "
        "that end in {expected} (all but the last two also with .gz or .zst behind), or '-' for "
        "the standard input. Check the path."
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
    E813 = (
        "{path} has no row of column names: its first row cannot be read ({reason}). Close its "
        "quotes, end its lines with a line feed, and name the columns in the first."
    )
    E814 = (
        "What was found in this document cannot be written ({reason}). Look at the component that "
        "annotates so."
    )
    E815 = (
        "Parquet cannot hold the rows of {path} together ({reason}). Leave out the columns of "
        "unusual types, or write another format (--format jsonl)."
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
    E855 = (
        "The pipeline {path} makes no embeddings, which a search index needs: none of its "
        "components is a `trf_similarity` (it has: {found}). Add and train one, or annotate "
        "without an index."
    )
    E856 = (
        "{path}, with what a shard has for the search index, is damaged. Delete {part} from the "
        "output and go on with --resume: both are made again."
    )
    E857 = (
        "The search index {path} of this run is gone, and with it what {part} and perhaps others "
        "had for it. Put it back, make one with `search add`, or start anew in another folder."
    )
    E858 = (
        "What comes from the standard input is not the corpus that this run began with. Give it "
        "the same again, or nothing (it was kept); for another corpus choose another folder."
    )
    E870 = (
        "The engine 'ray' needs the package `ray`, {oldest} or later; found: {found}. Install it "
        "with `pip install 'spacy-llm-tasks[ray]'`, or use the local engine."
    )
    E871 = (
        "The option {name} is for the engine 'ray' only. Choose that engine, or leave the option "
        "out."
    )
    E872 = (
        "The address {address!r} is one of Ray's client, over which corpora are not annotated. Run "
        "this on a machine of the cluster, with the address host:port or 'auto'."
    )
    E873 = (
        "Ray chooses the GPUs of its workers, so gpu_id must be 0 or -1 with it, found {gpu_id}. "
        "Say how many each is to have (gpus_per_worker)."
    )
    E874 = (
        "On {host} the folder {folder} of this run is not there, or has been emptied. All machines "
        "must see the output folder under the same path. What is finished is kept: mend the cause, "
        "then go on with --resume."
    )
    E875 = (
        "On {host} other things would be at work than where the run was started: {changes}. All "
        "machines need the same pipeline under the same path, and the same packages."
    )
    E876 = (
        "There is no Ray at the address {address!r}: {problem}. Start one, or give another address."
    )
    E877 = (
        "Ray was imported before the run, and would listen on the network now. Set "
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before it is imported, or call ray.init() yourself: a "
        "Ray that is there is used as it is."
    )
    E878 = (
        "The workers need {wanted} GPUs together, but Ray finds {found}. Give fewer workers, or "
        "each a part of a GPU (gpus_per_worker)."
    )
    E879 = (
        "Ray could not get a shard done: {problem}. What is finished is kept: mend the cause, then "
        "go on with --resume."
    )
