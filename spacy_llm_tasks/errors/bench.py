"""Messages E580 to E599: benchmarks."""


class BenchErrors:
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
    E591 = "The process of '{name}' failed: {problem}."
    E592 = (
        "The side '{side}' needs {package}, which is not installed here: pip install '{package}'."
    )
    E593 = "The side 'curated' reads weights of the family {expected}; {path} is of {found!r}."
    E594 = "The benchmark set '{name}' is for the task '{task}'. Training is measured on: {known}."
