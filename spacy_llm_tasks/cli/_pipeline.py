"""What a pipeline holds: its components, their labels, parameters and files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._table import echo_facts, echo_table
from ._units import size


def pipeline(path: Path) -> dict[str, Any]:
    """Load a pipeline and look at its components.

    path (Path): Its folder.
    RETURNS (dict): Name, versions, bytes, scores; of each component its factory, number of
        parameters, bytes and labels.
    """
    import spacy

    nlp = spacy.load(path)
    scores = nlp.meta.get("performance", {})
    return {
        "name": f"{nlp.meta['lang']}_{nlp.meta['name']} {nlp.meta['version']}",
        "made_with_spacy": str(nlp.meta["spacy_version"]),
        "bytes": sum(bytes_under(path)),
        "scores": {name: value for name, value in scores.items() if isinstance(value, float)},
        "components": [
            {
                "name": name,
                "factory": nlp.get_pipe_meta(name).factory,
                "parameters": parameters(getattr(proc, "model", None)),
                "bytes": sum(bytes_under(path / name)),
                "labels": [str(label) for label in getattr(proc, "labels", ())],
            }
            for name, proc in nlp.components
        ],
    }


def echo_pipeline(path: Path, found: dict[str, Any]) -> None:
    """Print what `pipeline` has found."""
    echo_facts(
        {
            "name": found["name"],
            "made with spaCy": found["made_with_spacy"],
            "on disk": size(found["bytes"]),
            **{name: f"{value:.4f}" for name, value in found["scores"].items()},
        },
        title=f"Pipeline {path}",
    )
    rows = [["component", "factory", "parameters", "on disk", "labels"]]
    for part in found["components"]:
        n, n_bytes, labels = part["parameters"], part["bytes"], part["labels"]
        rows.append([part["name"], part["factory"], f"{n:,}", size(n_bytes), str(len(labels))])
    echo_table(rows, title="Components")
    labels_of = {part["name"]: ", ".join(part["labels"]) for part in found["components"]}
    echo_facts({name: text for name, text in labels_of.items() if text}, title="Labels")


def parameters(model: Any) -> int:
    """RETURNS (int): Number of trained values in a thinc model, torch modules in it included."""
    from thinc.api import Model

    if not isinstance(model, Model):
        return 0
    count = 0
    for node in model.walk():
        count += sum(node.get_param(n).size for n in node.param_names if node.has_param(n))
        for shim in node.shims:
            module = getattr(shim, "_model", None)
            if module is not None and hasattr(module, "parameters"):
                count += sum(p.numel() for p in module.parameters())
    return count


def bytes_under(path: Path) -> Iterator[int]:
    """YIELDS (int): The size of each file below a folder."""
    return (p.stat().st_size for p in path.rglob("*") if p.is_file())
