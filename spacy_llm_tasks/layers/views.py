"""How a head asks its upstream for other than one row per token."""

from thinc.api import Model

from ..errors import Errors
from .encoder_shim import EncoderShim
from .listener import Listener


def ask_for(tok2vec: Model, kind: str) -> None:
    """Make the upstream of a head give another kind of rows.

    tok2vec (Model): The head's upstream: one of our listeners, or an encoder of its own.
    kind (str): "pieces", "cls", "mean", or "none" for a head that reads texts of its own only.
    RAISES (ValueError): if the upstream is another library's and has no such rows.
    """
    found = False
    for node in tok2vec.walk():
        if isinstance(node, Listener):
            node.view = node.view._replace(kind=kind)
            found = True
        elif node.shims and isinstance(node.shims[0], EncoderShim):
            node.attrs["view"] = [kind, -1]
            found = True
    if not found:
        raise ValueError(Errors.E416.format(kind=kind, upstream=tok2vec.name))
