"""Rules of the house that no other test would notice: who may import whom, what is registered."""

import ast
import importlib
from functools import cache
from pathlib import Path

import pytest
import spacy
import tomllib
from spacy import registry

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spacy_llm_tasks"
FILES = sorted(PACKAGE.rglob("*.py"))

# What a room must not import, at module level or inside functions.
FORBIDDEN = {
    "nn": {"spacy", "thinc", "transformers", "spacy_transformers", "tokenizers"},
    "tokenization": {"torch", "spacy", "thinc", "transformers", "spacy_transformers"},
    "weights": {"spacy", "thinc", "transformers", "spacy_transformers"},
    "pretraining": {"spacy", "thinc", "transformers", "spacy_transformers"},
    "scoring": {"torch", "transformers", "spacy_transformers"},
    "corpora": {"torch", "transformers", "spacy_transformers"},
    "search": {"torch", "thinc", "transformers", "spacy_transformers"},
    "annotate": {"torch", "transformers", "spacy_transformers"},
}
# Rooms from low to high: a room imports from those before it.
BELOW = {
    "tokenization": set(),
    "nn": set(),
    "weights": {"nn", "tokenization"},
    "pretraining": {"nn", "tokenization", "weights"},
    "layers": {"nn", "tokenization", "weights"},
    "annotations": set(),
    "scoring": {"annotations"},
    "render": {"annotations"},
    "search": {"annotations"},
    "pipeline": {"annotations", "layers", "scoring", "nn", "tokenization", "weights"},
    "export": {"layers", "pipeline", "nn"},
    "annotate": {"annotations", "render", "search", "pipeline", "indexing", "nn", "weights"},
}
# The rooms of pretraining, from low to high; what lies beside them is above them all.
PRETRAINING = ["texts", "pieces", "objectives", "team", "optimisation"]
EVERYWHERE = {"hints"}
ROOT_MODULES = {"devices", "errors", "files", "interrupts", "packages", "randomness", "streams"}
MAY_IMPORT_TRANSFORMERS = {"layers/trf_data.py"}
NO_TASK = {
    "drop_tensors",
    "precisions",
    "groups",
    "init_tok2vec",
    "hooks",
    "markers",
    "owners",
    "register",
    "encoder",
    "encoder_files",
    "gold",
    "asking",
    "pending",
    "task",
    "task_pipe",
    "__init__",
}


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


@cache
def imports_of(path):
    """All imported modules, absolute, and whether each is imported when the file is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ("spacy_llm_tasks", *path.relative_to(PACKAGE).parent.parts)
    eager = {id(node) for node in _eager(tree)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            modules = [stem, *(f"{stem}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.extend((module, id(node) in eager) for module in modules)
    return found


def _eager(tree):
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            yield from _eager(node)


def room(module):
    parts = module.split(".")
    return parts[1] if parts[0] == "spacy_llm_tasks" and len(parts) > 1 else None


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_only_go_down(path):
    parts = path.relative_to(PACKAGE).parts
    own = parts[0] if len(parts) > 1 else None
    for module, _ in imports_of(path):
        top = module.split(".")[0]
        assert top not in FORBIDDEN.get(own, set()), f"imports {module}"
        other = room(module)
        if own in BELOW and other and other not in ROOT_MODULES and other != "Errors":
            assert other in BELOW[own] | {own}, f"imports {module}"


@pytest.mark.parametrize("name", PRETRAINING)
def test_imports_inside_pretraining_only_go_down(name):
    allowed = {*PRETRAINING[: PRETRAINING.index(name) + 1], *EVERYWHERE}
    paths = sorted((PACKAGE / "pretraining" / name).rglob("*.py"))
    assert len(paths) > 1
    for path in paths:
        for module, _ in imports_of(path):
            parts = module.split(".")
            if parts[:2] == ["spacy_llm_tasks", "pretraining"] and len(parts) > 2:
                assert parts[2] in allowed, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_transformers_only_where_it_is_needed_and_lazily(path):
    for module, eager in imports_of(path):
        if module.split(".")[0] in ("transformers", "spacy_transformers"):
            allowed = name_of(path) in MAY_IMPORT_TRANSFORMERS or name_of(path).startswith("bench/")
            assert allowed and not eager, f"imports {module}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "pipeline").glob("*.py")), ids=name_of)
def test_no_task_imports_another(path):
    tasks = {p.stem for p in (PACKAGE / "pipeline").glob("*.py")} - NO_TASK - {path.stem}
    for module, _ in imports_of(path):
        parts = module.split(".")
        assert parts[:2] != ["spacy_llm_tasks", "pipeline"] or not tasks & set(parts[2:3])


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_house_style(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"assert in line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            in_cli = path.relative_to(PACKAGE).parts[0] == "cli"
            assert node.func.id != "print" or in_cli, f"print in line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            called = f"{node.value.id}.{node.attr}"
            assert called not in ("torch.load", "torch.save"), f"{called} in line {node.lineno}"
    modules = {module.split(".")[0] for module, _ in imports_of(path)}
    assert not modules & {"pickle", "cloudpickle", "dill", "joblib", "click"}


def entry_points():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for group, points in config["project"]["entry-points"].items():
        for name, target in points.items():
            yield pytest.param(group, name, target, id=f"{group}:{name}")


@pytest.mark.parametrize("group, name, target", entry_points())
def test_entry_points_resolve(group, name, target):
    module, _, attribute = target.partition(":")
    function = getattr(importlib.import_module(module), attribute)
    if group == "spacy_factories":
        assert spacy.blank("en").get_factory_meta(name).factory == name
    else:
        kind = group.split("_", 1)[1]
        assert getattr(registry, kind).get(name) is function


def registered_names():
    """Every `@registry = "spacy_llm_tasks..."` that a config or default of the package mentions."""
    for path in [*FILES, *sorted((PACKAGE / "configs").glob("*.cfg"))]:
        for line in path.read_text(encoding="utf-8").splitlines():
            key, _, value = line.strip().partition("=")
            if key.startswith("@") and value.strip().startswith('"spacy_llm_tasks.'):
                yield key.strip().removeprefix("@"), value.strip().strip('"')


def test_names_in_configs_resolve():
    names = sorted(set(registered_names()))
    assert names
    for kind, name in names:
        assert getattr(registry, kind).get(name), name
