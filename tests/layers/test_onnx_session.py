"""Which sequences go into one call; that what is missing is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_llm_tasks.layers import onnx_session
from spacy_llm_tasks.layers.onnx_session import MAX_CELLS, MAX_ROWS, ROWS_PER_CALL, groups_of


def groups(lengths):
    return [group.tolist() for group in groups_of(np.array(lengths, dtype=np.int64))]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 2000), max_size=80))
def test_every_sequence_is_in_one_call(lengths):
    found = groups(lengths)
    assert sorted(i for group in found for i in group) == list(range(len(lengths)))
    for group in found:
        sizes = [lengths[i] for i in group]
        longest = max(sizes)
        assert sum(longest - size for size in sizes) <= ROWS_PER_CALL
        assert len(group) == 1 or len(group) * longest <= MAX_ROWS
        assert len(group) == 1 or len(group) * longest**2 <= MAX_CELLS


def test_equal_lengths_share_a_call():
    assert groups([5, 9, 5, 5]) == [[0, 2, 3, 1]]  # 12 rows of padding cost less than a call
    assert groups([5, 40, 5, 40]) == [[1, 3], [0, 2]]
    assert len(groups([MAX_ROWS // 2] * 3)) >= 2
    assert groups([]) == []


def test_a_missing_package_is_named():
    with pytest.raises(ImportError, match=r"E900.*`no_such_runtime`.*spacy-llm-tasks\[onnx\]"):
        onnx_session.optional("no_such_runtime")
