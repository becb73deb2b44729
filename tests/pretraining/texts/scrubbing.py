"""What the tests of the scrubber have in common."""

import time

from spacy_llm_tasks.pretraining.texts.scrub import scrub


def text_and_expected(pattern, kind):
    """A text in which braces stand around what is to be found, without them, and what becomes of
    it."""
    text = pattern.replace("{", "").replace("}", "")
    return text, f"{pattern.split('{')[0]}<{kind}>{pattern.split('}')[1]}"


def assert_time_is_linear(*texts):
    """Of 100,000 characters each."""
    start = time.process_time()
    for text in texts:
        scrub(text)
    assert time.process_time() - start < 1.0  # a square takes minutes
