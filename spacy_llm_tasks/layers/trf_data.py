"""Rows in the form that `spacy-transformers.TransformerListener.v1` reads.

The stock listener expects windows of pieces and an alignment. Our rows already are one per token,
so each doc becomes one window with one "piece" per token and the identity alignment.
spacy-transformers is imported only when one of its listeners is in the pipeline, in which case it
is there already.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from spacy.tokens import Doc
from thinc.api import Model, chain, get_array_module
from thinc.types import Floats2d, Ragged

_LISTENER_MODULE = "spacy_transformers.layers.listener"


def is_listener(node: Any) -> bool:
    """RETURNS (bool): Whether a layer is spacy-transformers' listener. Imports nothing."""
    module = sys.modules.get(_LISTENER_MODULE)
    return module is not None and isinstance(node, module.TransformerListener)


def install_extension() -> None:
    """Install `doc._.trf_data`, which that package installs only with an encoder of its own."""
    if not Doc.has_extension("trf_data"):
        Doc.set_extension("trf_data", default=None)


def wrap(
    rows: list[Floats2d], collect: Callable[[list[Floats2d]], Any]
) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The rows of a training batch and the way back for their gradients, in that form.

    The stock pooling returns no gradient for docs without tokens; they get empty ones here.
    """

    def backprop(d_data: list[Any]) -> Any:
        answers = iter(d_data)
        return collect([next(answers).tensors[0][0] if len(r) else r for r in rows])

    return [_data(r) for r in rows], backprop


def annotate(docs: Sequence[Doc], rows: list[Floats2d]) -> None:
    """Write `doc._.trf_data`, from which that listener reads when it predicts."""
    install_extension()
    for doc, doc_rows in zip(docs, rows, strict=True):
        doc._.trf_data = _data(doc_rows)


def _data(rows: Any) -> Any:
    from spacy_transformers.data_classes import TransformerData, WordpieceBatch
    from transformers.modeling_outputs import BaseModelOutput

    if not len(rows):
        return TransformerData.empty()
    n_tokens, xp = len(rows), get_array_module(rows)  # on the device of the rows
    return TransformerData(
        wordpieces=WordpieceBatch.zeros([n_tokens]),
        model_output=BaseModelOutput(last_hidden_state=rows.reshape(1, *rows.shape)),
        align=Ragged(xp.arange(n_tokens, dtype="i"), xp.ones(n_tokens, dtype="i")),
    )


def with_trf_data(encoder: Model) -> Model:
    """RETURNS (Model): an encoder layer whose output is in that form, for a replaced listener."""
    return chain(encoder, Model("rows2trf", _forward))


def replace_listener_cfg(encoder_cfg: dict[str, Any], listener_cfg: dict[str, Any]) -> dict:
    """Called by `nlp.replace_listeners`: the config that rebuilds a head with its own encoder.

    encoder_cfg (dict): The shared encoder's config.
    listener_cfg (dict): The config of the head's `tok2vec`.
    RETURNS (dict): The encoder's config, inside what a stock transformer head needs around it.
    """
    if not listener_cfg["@architectures"].startswith("spacy-transformers.TransformerListener"):
        return encoder_cfg
    return {
        "@architectures": "spacy_llm_tasks.Tok2VecTransformer.v1",
        "encoder": encoder_cfg,
        "pooling": listener_cfg["pooling"],
        "grad_factor": listener_cfg.get("grad_factor", 1.0),
    }


def build_tok2vec_transformer_v1(
    encoder: Model[list[Doc], list[Floats2d]],
    pooling: Model[Ragged, Floats2d],
    grad_factor: float = 1.0,
) -> Model[list[Doc], list[Floats2d]]:
    """Build what a replaced TransformerListener became (`spacy_llm_tasks.Tok2VecTransformer.v1`).

    encoder (Model[List[Doc], List[Floats2d]]): `spacy_llm_tasks.Transformer.v1`.
    pooling (Model[Ragged, Floats2d]): The pooling of the replaced listener.
    grad_factor (float): The factor of the replaced listener.
    """
    from spacy_transformers.layers import trfs2arrays

    return chain(with_trf_data(encoder), trfs2arrays(pooling, grad_factor))


def _forward(model: Model, rows: list[Floats2d], is_train: bool) -> tuple[list[Any], Callable]:
    return wrap(rows, _identity)


def _identity(d_rows: list[Floats2d]) -> list[Floats2d]:
    return d_rows
