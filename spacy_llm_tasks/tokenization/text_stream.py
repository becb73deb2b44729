"""Texts on their way to a trainer: checked, made fit for UTF-8, and counted."""

import re
from collections.abc import Iterable, Iterator, Sequence

from ..errors import Errors
from .surrogates import without_surrogates


class TextStream:
    """Read texts once, one at a time.

    n_texts (int): texts that went by.
    n_characters (int): their characters.
    """

    n_texts: int
    n_characters: int

    def __init__(self, texts: Iterable[str], *, without: Sequence[str] = ()) -> None:
        """Take texts; none is read yet.

        texts (iterable of str): the texts.
        without (sequence of str): names of special pieces. Where a text spells them out, they are
            taken out whole before the text is cut: nothing is to be learned from them.
        """
        self._texts = texts
        self._names = tuple(without)
        self._border = re.compile("|".join(map(re.escape, without)))
        self.n_texts = 0
        self.n_characters = 0

    def __iter__(self) -> Iterator[str]:
        """YIELDS (str): the texts, in parts where a special piece stood.
        RAISES (ValueError): if something else than a string is among them.
        """
        if isinstance(self._texts, (str, bytes)):
            raise ValueError(Errors.E219.format(position=0, found="a single string"))
        for position, text in enumerate(self._texts):
            if not isinstance(text, str):
                found = type(text).__name__
                raise ValueError(Errors.E219.format(position=position, found=found))
            self.n_texts += 1
            self.n_characters += len(text)
            text = without_surrogates(text)
            if any(name in text for name in self._names):
                yield from filter(None, self._border.split(text))
            else:
                yield text
