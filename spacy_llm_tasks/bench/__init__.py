"""Benchmarks against other libraries: accuracy after equal training, and speed of equal passes.

`sets` says what is trained on, `tasks` how that is scored, `recipes` (of `blocks`) what each side
is, `loop` trains one run, `records` keeps its result, `plan` orders the runs and picks learning
rates, `table` prints them. `texts` and `inference` measure `nlp.pipe`. The peer's packages are
imported only when a run needs them; peers that are no spaCy components are trained by scripts
outside of the package.
"""
