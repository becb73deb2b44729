"""Invented text with the statistics of language: some words are frequent, most are rare."""

import random

_STEMS = "walk talk sing garden window river quiet morning lantern bridge market cobble".split()
_ENDINGS = ["", "", "", "s", "ed", "ing", "er", "less", "ness"]
_SMALL = "the a of and to in is it was for on with".split()
_EXTRAS = ["café", "naïve", "中文", "don't", "$12.50", "No. 7", "(see p. 31)", "Ömer", "été!"]


def sentences(n, *, seed=0):
    """n sentences; the same for the same seed."""
    chooser = random.Random(seed)
    for number in range(n):
        words = []
        for _ in range(chooser.randint(4, 14)):
            if chooser.random() < 0.45:
                words.append(chooser.choice(_SMALL))
            elif chooser.random() < 0.08:
                words.append(chooser.choice(_EXTRAS))
            else:
                stem = chooser.choice(chooser.choices([_STEMS[:4], _STEMS], [2, 1])[0])
                words.append(stem + chooser.choice(_ENDINGS))
        yield " ".join(words).capitalize() + f", {number % 37}.\n"
