"""The metric of each task, equal to the field's reference where there is one, and calibration.

Scorers are module-level functions that swallow the keywords they do not know (spaCy hands every
setting of a component to its scorer), registered behind `functools.partial`, which pickles. What
nobody annotated is not scored: a metric without any gold is None, never 0.
"""
