"""How much a head's gradient counts in the shared encoder."""

import numpy as np
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_llm_tasks.layers.listener import Listener, build_listener_v1


def sent_up(listener: Listener) -> np.ndarray:
    """What the encoder receives when the head answers with ones."""
    doc = Doc(Vocab(), words=["one", "two"])
    received = []
    listener.receive(
        listener.get_batch_id([doc]),
        [np.zeros((2, 3), dtype="f")],
        lambda d_rows: received.extend(d_rows) or [],
    )
    _, backprop = listener([doc], is_train=True)
    backprop([np.ones((2, 3), dtype="f")])
    return received[0]


@pytest.mark.parametrize("factor", [0.0, 0.25, 1.0, 2.0])
def test_the_gradient_is_scaled(factor):
    d_rows = sent_up(build_listener_v1(grad_factor=factor))
    assert d_rows.dtype == np.float32
    np.testing.assert_array_equal(d_rows, np.full((2, 3), factor, dtype="f"))
