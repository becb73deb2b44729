import sys
from itertools import islice

import pytest

from spacy_llm_tasks.pretraining.texts.pydoc_texts import pydoc_texts
from spacy_llm_tasks.pretraining.texts.sources import read_texts

TOPICS = """\
# The topics.
topics = {'zeta': 'Zeta is the last of the topics and says what the word zeta means here.\\n',
 'alpha': 'Alpha is the first of the topics; it has enough words to be taken for prose.',
 'short': 'Nothing'}
"""
MODULE = '''\
"""What this module is for, told in a sentence that has more than eight words.

>>> example()
42

After the example the text goes on for some more words of good prose.
"""
raise SystemExit("a module that is read must not be run")

# A comment of several lines explains at length why things
# are the way they are, and why nobody should change them.


class Thing:
    """A thing that has been documented with a good deal of care and patience."""

    def method(self):
        """Do what the name of the method says, but only when it is asked politely."""
        # one line is no passage


def function():
    """Do what the name of the method says, but only when it is asked politely."""


def other():
    """Return another thing, made from scratch without looking at the first one.

    # This looks like a comment of two lines that stands in the source, but it is
    # a part of the docstring and must therefore not be there two times in a row.
    """
'''


@pytest.fixture
def library(tmp_path):
    for name, source in (
        ("pydoc_data/topics.py", TOPICS),
        ("module.py", MODULE),
        ("broken.py", "def f(:\n    pass\n"),
        ("test/more.py", MODULE.replace("Thing", "Other").replace("thing", "other")),
        ("site-packages/p.py", MODULE.replace("thing", "package")),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return tmp_path


def test_topics_then_definitions(library):
    texts = list(pydoc_texts(library))
    assert [text.split()[0] for text in texts] == ["Alpha", "Zeta", "What", "A", "Return"]
    assert texts[2] == (
        "What this module is for, told in a sentence that has more than eight words.\n\n\n"
        "After the example the text goes on for some more words of good prose.\n\n"
        "A comment of several lines explains at length why things\n"
        "are the way they are, and why nobody should change them."
    )
    assert texts[3].split("\n\n") == [
        "A thing that has been documented with a good deal of care and patience.",
        "Do what the name of the method says, but only when it is asked politely.",
    ]
    assert texts[4].count("# This looks like a comment") == 1 and texts[4].count("two lines") == 1


def test_a_library_without_sources(tmp_path):
    with pytest.raises(ValueError, match="E708"):
        list(pydoc_texts(tmp_path))


def test_this_python_without_importing_what_is_read():
    before = set(sys.modules)
    texts = list(islice(read_texts(["pydoc:"]), 250))
    assert len(texts) == 250 and texts == list(islice(pydoc_texts(), 250))
    assert len(set(texts)) == 250 and sum(map(len, texts)) > 500_000
    assert any("function call" in text for text in texts)
    assert not {name for name in set(sys.modules) - before if name.startswith("pydoc")}
