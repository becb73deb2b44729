import subprocess
import sys
from statistics import mean

import pytest

from spacy_llm_tasks.bench import texts


@pytest.mark.parametrize("kind", texts.KINDS)
def test_same_seed_gives_same_texts(kind):
    first = texts.generate(kind, n_words=4000, seed=3)
    assert first == texts.generate(kind, n_words=4000, seed=3)
    assert first != texts.generate(kind, n_words=4000, seed=4)


def test_texts_are_the_same_in_another_process():
    here = texts.generate("sentences", n_words=300, seed=1)
    code = (
        "from spacy_llm_tasks.bench import texts;"
        "print('\\n'.join(texts.generate('sentences', n_words=300, seed=1)))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.splitlines() == here


@pytest.mark.parametrize("kind,average", [("sentences", 20), ("paragraphs", 120), ("long", 3000)])
def test_lengths_average_to_what_is_promised(kind, average):
    made = texts.generate(kind, n_words=400 * average, seed=0)
    assert mean(map(texts.count_words, made)) == pytest.approx(average, rel=0.1)


def test_enough_words_of_each_kind_in_a_mix():
    made = texts.generate("mix", n_words=12000, seed=0)
    lengths = [texts.count_words(text) for text in made]
    assert sum(lengths) >= 12000
    assert min(lengths) < 40 and any(60 < n < 200 for n in lengths) and max(lengths) > 2000


def test_sentences_fit_one_window_of_both_sides():
    made = texts.generate("sentences", n_words=20000, seed=0)
    assert max(map(texts.count_words, made)) <= 80


def test_text_is_running_english():
    words = [word.strip(",") for word in texts.running_words()]
    assert len(words) > 20000
    common = sum(word.lower() in {"the", "a", "of", "to", "is", "in", "and"} for word in words)
    assert 0.1 < common / len(words) < 0.4
