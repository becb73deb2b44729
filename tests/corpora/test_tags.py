import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_llm_tasks.corpora import tags

LETTERS = {
    "bio": ("B", "I", "I", "B"),
    "bioes": ("B", "I", "E", "S"),
    "bilou": ("B", "I", "L", "U"),
    "bmes": ("B", "M", "E", "S"),
}


def encode(n_tokens, entities, scheme):
    """Naive encoder: first, inner, last and single letters of a scheme."""
    first, inner, last, single = LETTERS[scheme]
    out = ["O"] * n_tokens
    for start, end, label in entities:
        if end == start + 1:
            out[start] = f"{single}-{label}"
            continue
        out[start] = f"{first}-{label}"
        for i in range(start + 1, end - 1):
            out[i] = f"{inner}-{label}"
        out[end - 1] = f"{last}-{label}"
    return out


@st.composite
def sentences(draw):
    n_tokens, entities, at = draw(st.integers(1, 12)), [], 0
    while at < n_tokens:
        length = draw(st.integers(1, n_tokens - at))
        label = draw(st.sampled_from(["", "PER", "B-LOC", "I", "O"]))
        if label:
            entities.append((at, at + length, label))
        at += length
    return n_tokens, entities


@pytest.mark.parametrize("scheme", list(LETTERS))
@given(sentence=sentences())
def test_well_formed_tags_come_back_without_repairs(scheme, sentence):
    n_tokens, entities = sentence
    assert tags.decode(encode(n_tokens, entities, scheme), scheme) == (entities, [], [])


def test_iob1_writes_b_only_between_neighbours():
    sentence = ["I-PER", "I-PER", "B-PER", "O", "I-LOC"]
    assert tags.decode(sentence, "iob1") == ([(0, 2, "PER"), (2, 3, "PER"), (4, 5, "LOC")], [], [])
    assert tags.detect_scheme([sentence]) == "iob1"


def test_io_joins_equal_neighbours():
    sentence = ["PER", "PER", "O", "LOC", "PER"]
    assert tags.detect_scheme([sentence]) == "io"
    assert tags.decode(sentence, "io") == ([(0, 2, "PER"), (3, 4, "LOC"), (4, 5, "PER")], [], [])


def test_inside_without_a_start_opens_an_entity_and_is_counted():
    entities, repairs, illegal = tags.decode(["O", "I-X", "I-X", "I-Y", "O"], "bio")
    assert entities == [(1, 3, "X"), (3, 4, "Y")] and illegal == []
    assert repairs == [
        (1, "inside tag without a first tag"),
        (3, "inside tag of another label than its entity"),
    ]


def test_unfinished_entities_are_counted_where_they_stop():
    entities, repairs, _ = tags.decode(["B-X", "I-X", "O", "E-Y", "B-Z"], "bioes")
    assert entities == [(0, 2, "X"), (3, 4, "Y"), (4, 5, "Z")]
    assert repairs == [
        (1, "entity without its last tag"),
        (3, "inside tag without a first tag"),
        (4, "entity without its last tag"),
    ]


@pytest.mark.parametrize("tag", ["X-PER", "B-", "B", "BPER", "", "-PER", "o"])
def test_illegal_tags_are_named(tag):
    entities, _, illegal = tags.decode(["B-X", tag, "O"], "bio")
    assert entities == [(0, 1, "X")] and illegal == [1]


@pytest.mark.parametrize(
    "sentence, scheme",
    [
        (["B-X", "I-X", "O"], "bio"),
        (["O", "O"], "bio"),
        (["B-X", "O", "I-X"], "bio"),
        (["B-X", "E-X"], "bioes"),
        (["S-X", "O"], "bioes"),
        (["U-X", "O"], "bilou"),
        (["B-X", "L-X"], "bilou"),
        (["B-X", "M-X", "E-X"], "bmes"),
    ],
)
def test_schemes_are_told_by_their_letters(sentence, scheme):
    assert tags.detect_scheme([sentence]) == scheme


def test_an_unknown_scheme_is_an_error():
    with pytest.raises(ValueError, match="E313.*bioul"):
        tags.decode(["O"], "bioul")
