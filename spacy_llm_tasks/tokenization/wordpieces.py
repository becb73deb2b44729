"""Choose the pieces of a WordPiece vocabulary (Devlin et al. 2019).

As in every open implementation, pieces grow by joining the most frequent pair of neighbours
(Sennrich et al. 2016, https://arxiv.org/abs/1508.07909); pieces inside a word are marked with "##".
The joining is done by the `tokenizers` library. It numbers the marked characters in an order that
differs from run to run, and breaks ties by these numbers, so they are given to it in advance.
"""

from collections.abc import Iterator, Mapping

from tokenizers import Tokenizer, models, trainers
from tokenizers import pre_tokenizers as splitters

from .word_counts import choose_alphabet, count_characters

MARK = "##"
# A longer word is unknown, in `transformers` as well: nothing is learned from it.
MOST_CHARACTERS = 100
_BLOCK = 65_536


def learn_wordpieces(words: Mapping[str, int], *, size: int, min_frequency: int) -> list[str]:
    """Choose pieces.

    Characters come first, with and without "##" where they occur in words of several characters, so
    that a word is never unknown for where its characters stand. They take at most half of the
    vocabulary as long as longer pieces fill the rest: the rarest characters of a script with very
    many are left out.

    words (mapping): how often each word occurs, in a fixed order.
    size (int): pieces to choose.
    min_frequency (int): characters and pairs that occur less often are left out.
    RETURNS (list of str): the pieces, characters first, then in the order in which they were
        joined; fewer than `size` if the words give no more.
    """
    words = {word: count for word, count in words.items() if len(word) <= MOST_CHARACTERS}
    counts = count_characters(words)
    inside = {character for word in words if len(word) > 1 for character in word}
    slots = {c: 1 + (c in inside) for c, count in counts.items() if count >= min_frequency}
    room = size // 2
    while True:
        letters = choose_alphabet(slots, counts, most=room)
        singles = [*letters, *(MARK + letter for letter in letters if slots[letter] == 2)]
        pieces = _join(words, letters, singles, size, min_frequency)
        if len(pieces) == size or len(letters) == len(slots) or room == size:
            return pieces
        room = min(size, room + size - len(pieces))


def _join(
    words: Mapping[str, int], letters: list[str], singles: list[str], size: int, min_frequency: int
) -> list[str]:
    """The single characters, and the longer pieces that joining them gives."""
    known = set(letters)
    # Words that cannot be spelled are unknown as a whole and would only mislead the counts.
    words = {word: count for word, count in words.items() if known.issuperset(word)}
    if not words:
        return singles
    scratch = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    scratch.pre_tokenizer = splitters.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=singles,
        continuing_subword_prefix=MARK,
        show_progress=False,
    )
    scratch.train_from_iterator(_written_out(words), trainer=trainer)
    vocab = scratch.get_vocab(with_added_tokens=False)
    return sorted(vocab, key=lambda piece: vocab[piece])


def _written_out(words: Mapping[str, int]) -> Iterator[str]:
    """The words as text again, each as often as it occurs, in blocks of bounded size."""
    block: list[str] = []
    length = 0
    for word, count in words.items():
        while count:
            times = min(count, max(1, (_BLOCK - length) // (len(word) + 1)))
            block.append((word + " ") * times)
            length += (len(word) + 1) * times
            count -= times
            if length >= _BLOCK - MOST_CHARACTERS:
                yield "".join(block)
                block, length = [], 0
    yield "".join(block)
