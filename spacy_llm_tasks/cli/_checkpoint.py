"""A checkpoint's description as tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._table import echo_facts, echo_table
from ._units import operations, size

if TYPE_CHECKING:
    from ..pretraining.looking.description import Description

# What the head of each kind is for.
USES = {
    "encoder": "yes, see `fill-mask`",
    "decoder": "yes, see `continue`",
    "seq2seq": "yes, see `continue`",
}
# Name of a row -> the setting of `TransformerConfig`.
SHAPE = {
    "width": "width",
    "depth": "depth",
    "heads": "n_heads",
    "feed-forward width": "ffn_width",
    "pieces": "n_pieces",
    "embedding width": "embedding_width",
    "segments": "n_segments",
    "positions": "positions",
    "norm": "norm",
    "place of norms": "norm_position",
    "activation": "activation",
    "biases": "bias",
}


def echo_checkpoint(path: Path, description: "Description") -> None:
    """Print what is known of a checkpoint.

    path (Path): Its folder.
    description (Description): What is in it.
    """
    facts = description.to_dict()
    parameters, stored = facts["parameters"], facts["stored"]
    n_stored = sum(stored["n_values"].values())
    limit = "" if facts["is_hard_limit"] else " (more are possible, but not what it was made for)"
    echo_facts(
        {
            "family": facts["family"],
            "kind": facts["kind"],
            "head that predicts pieces": USES[facts["kind"]] if facts["has_head"] else "none",
            "longest sequence": f"{facts['longest']:,} pieces{limit}",
            "on disk": f"{size(stored['n_bytes'])}: {n_stored:,} values in {stored['n_tensors']} "
            f"tensors of {' and '.join(sorted(stored['n_values']))}",
        },
        title=f"Weights {path}",
    )
    shapes = facts["shapes"]
    rows = [["", *shapes]]
    rows += [[name, *(_cell(s[key]) for s in shapes.values())] for name, key in SHAPE.items()]
    echo_table(rows, title="Shape")
    names = {"table": "piece table", "blocks": "blocks", "head": "head", "rest": "other embeddings"}
    rows = [[name, f"{parameters[key]:,}"] for key, name in names.items()]
    echo_table([*rows, ["all", f"{parameters['total']:,}"]], title="Parameters")
    rows = [[precision, size(n)] for precision, n in facts["weight_bytes"].items()]
    echo_table(rows, title="Weights in memory, linear layers in")
    _echo_memory(facts)
    _echo_operations(facts)
    _echo_tokenizer(facts)


def _echo_memory(facts: dict[str, Any]) -> None:
    rows = [["weights, gradients and AdamW's two moments", size(facts["training_bytes"])]]
    echo_table(rows, title="Training in float32, without what grows with the batch")
    if facts["cache_bytes"] is not None:
        rows = [[f"a sequence of {facts['longest']:,} pieces", size(facts["cache_bytes"])]]
        echo_table(rows, title="Keys and values that are kept while it writes, in float32")


def _echo_operations(facts: dict[str, Any]) -> None:
    flops = facts["flops"]
    rows = [["", "forward", "training"]]
    for name, n in flops["forward_per_piece"].items():
        trained = flops["training_per_piece"][name]
        rows.append([f"{name}, for a piece", operations(n), operations(trained)])
    if facts["has_head"]:
        found = (flops["forward_per_prediction"], flops["training_per_prediction"])
        rows.append(["head, for a prediction", *map(operations, found)])
    echo_table(rows, title=f"Operations, in sequences of {flops['length']:,} pieces")


def _echo_tokenizer(facts: dict[str, Any]) -> None:
    tokenizer = facts["tokenizer"]
    if tokenizer is None:
        shown = {"none": facts["tokenizer_problem"]}
    else:
        shown = {"kind": tokenizer["kind"], "pieces": f"{tokenizer['n_pieces']:,}"}
        special = tokenizer["special"].items()
        shown |= {role: f"{piece['name']} ({piece['id']})" for role, piece in special}
    echo_facts(shown, title="Tokenizer")


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
