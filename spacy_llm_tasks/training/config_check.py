"""Find every mistake in a training config that can be found without building the pipeline.

spaCy drops unknown keys of [training], [nlp], [initialize] and [pretraining] without a word, so a
misspelt `max_stepz` trains with the default. Here nothing that a config says goes unread: each key
is known, or it is reported with its place and the nearest name that would have been known.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from spacy.language import DEFAULT_CONFIG, DEFAULT_CONFIG_PRETRAIN_PATH, Language
from spacy.schemas import CONFIG_SCHEMAS
from spacy.util import get_lang_class, load_config, registry
from thinc.api import Config, ConfigValidationError

from ..errors import Errors
from .config_blocks import Problems, check_arguments, check_scalar, check_value, suggest
from .config_references import (
    all_references,
    check_paths,
    check_references,
    check_variables,
    dot_get,
)

# [paths], [system] and sections that `${...}` refers to hold variables and may have any key.
SECTIONS = ("nlp", "components", "corpora", "training", "initialize", "pretraining")
VARIABLE_SECTIONS = ("paths", "system", "vars", "variables")
COMPONENT_KEYS = ("factory", "scorer")
SOURCE_KEYS = ("source", "component", "replace_listeners")
CORPORA = ("train", "dev", "test", "pretrain")
CHECKED_APART = ("initialize.components", "initialize.tokenizer", "training.score_weights")
# Numbers that spaCy takes as they are, and the least of each. 0 steps or 0 patience are no limit,
# -1 epochs read the data as a stream.
AT_LEAST = {
    "nlp.batch_size": 1,
    "training.accumulate_gradient": 1,
    "training.batcher.size": 1,
    "training.eval_frequency": 1,
    "training.max_epochs": -1,
    "training.max_steps": 0,
    "training.patience": 0,
}


def read_config(path: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read a config file, and refuse it with everything that is wrong with it.

    path (Path): The .cfg file.
    overrides (dict | None): Values by dotted key that replace those of the file. With another
        `nlp.lang` comes that language's own tokenizer, unless there is one among them.
    RETURNS (Config): Not interpolated, as `spacy.training.initialize.init_nlp` wants it.
    RAISES (ValueError): Naming each mistake and its place.
    RAISES (OSError): If the file cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(Errors.E510.format(path=path))
    try:
        config = load_config(path, overrides=overrides or {}, interpolate=False)
    except ConfigValidationError as error:
        raise ValueError(Errors.E511.format(path=path, text=explain(error))) from error
    except UnicodeDecodeError as error:
        raise ValueError(Errors.E511.format(path=path, text=error)) from error
    replaced = set(overrides or ())
    if "nlp.lang" in replaced and not any(key.startswith("nlp.tokenizer") for key in replaced):
        _take_tokenizer(config)
    problems = find_problems(config)
    if problems:
        raise ValueError(
            Errors.E512.format(path=path, count=len(problems), lines="\n".join(problems))
        )
    return config


def check_overrides(path: Path, overrides: dict[str, Any]) -> None:
    """Refuse settings that the config of a saved pipeline has no place for.

    path (Path): The pipeline's folder. What else may be wrong with its config is not reported: the
        data that it was trained on need not be there any more.
    overrides (dict): Values by dotted key.
    RAISES (ValueError): Naming each mistake that the settings bring in.
    """
    file = path / "config.cfg"
    before = find_problems(load_config(file, interpolate=False))
    after = find_problems(load_config(file, overrides=overrides, interpolate=False))
    brought = [line for line in after if line not in before]
    if brought:
        raise ValueError(Errors.E535.format(path=path, lines="\n".join(brought)))


def _take_tokenizer(config: Config) -> None:
    """Replace the tokenizer by that of the config's language: the file's was for another one, and
    would leave whole Chinese clauses in one token."""
    try:
        language = get_lang_class(config["nlp"]["lang"])
    except ImportError:
        return  # spaCy says so when it makes the pipeline
    config["nlp"]["tokenizer"] = dict(language.default_config["nlp"]["tokenizer"])


def find_problems(config: Config) -> list[str]:
    """Check a config.

    config (Config): Not interpolated, with overrides applied, not filled with defaults.
    RETURNS (list[str]): A line for each mistake, empty if there is none.
    """
    problems = Problems()
    _check_sections(problems, config)
    check_references(problems, config)
    if problems.lines:
        return problems.lines
    try:
        whole = config.interpolate()
    except ConfigValidationError as error:
        return [f"  {explain(error)}"]
    check_variables(problems, config, VARIABLE_SECTIONS, DEFAULT_CONFIG)
    for name in ("nlp", "training", "pretraining", "initialize"):
        _check_schema_section(problems, whole, name)
    _check_numbers(problems, whole)
    _check_components(problems, whole)
    _check_initialize(problems, whole)
    _check_tokenizer(problems, whole)
    _check_corpora(problems, whole)
    _check_names(problems, whole)
    check_paths(problems, config, whole)
    return problems.lines


def explain(error: ConfigValidationError) -> str:
    """RETURNS (str): spaCy's error about a config, on as few lines as it needs."""
    lines = [error.title or "", error.desc or ""]
    for found in error.errors or []:
        place = ".".join(str(p) for p in [error.parent, *found.get("loc", [])] if p)
        lines.append(f"{place}: {found.get('msg', '')}".strip(": "))
    return "\n  ".join(line.strip() for line in lines if line.strip())


def _check_sections(problems: Problems, config: Config) -> None:
    referenced = {reference.split(".")[0] for _, reference in all_references(config)}
    known = (*SECTIONS, *VARIABLE_SECTIONS)
    for name, section in config.items():
        if name not in known and name not in referenced:
            problems.unknown("(top level)", name, known, what="section")
        elif not isinstance(section, dict):
            problems.add(name, "is a value, expected a section in square brackets.")


def _check_schema_section(problems: Problems, config: Config, name: str) -> None:
    section = config.get(name, {})
    pretraining = name == "pretraining"
    default = load_config(DEFAULT_CONFIG_PRETRAIN_PATH) if pretraining else DEFAULT_CONFIG
    fields: dict[str, Any] = CONFIG_SCHEMAS[name].model_fields  # type: ignore[attr-defined]
    for key, value in section.items():
        if key not in fields:
            problems.unknown(f"[{name}]", key, fields)
            continue
        place = f"{name}.{key}"
        if place in CHECKED_APART:
            continue
        check_value(
            problems,
            place,
            value,
            annotation=fields[key].annotation,
            default=default[name].get(key),
        )
    if name == "training":
        for key, value in section.get("score_weights", {}).items():
            check_scalar(problems, f"training.score_weights.{key}", value, float)


def _check_numbers(problems: Problems, config: Config) -> None:
    for place, least in AT_LEAST.items():
        value = dot_get(config, place)
        if isinstance(value, int | float) and value < least:
            problems.add(place, f"is {value}, expected at least {least}.")
    dropout = dot_get(config, "training.dropout")
    if isinstance(dropout, int | float) and not 0 <= dropout < 1:
        problems.add("training.dropout", f"is {dropout}, expected 0 or more, and less than 1.")


def _check_components(problems: Problems, config: Config) -> None:
    language = _language(config)
    for name, block in config.get("components", {}).items():
        place = f"components.{name}"
        if not isinstance(block, dict):
            problems.add(place, "is a value, expected a section with a factory.")
        elif "source" in block:
            for key in block:
                if key not in SOURCE_KEYS:
                    problems.unknown(place, key, SOURCE_KEYS)
        elif "factory" not in block:
            problems.add(place, "has no factory. Add `factory = ...` or `source = ...`.")
        elif not language.has_factory(block["factory"]):
            known = [n.removeprefix(f"{language.lang}.") for n in registry.factories.get_all()]
            problems.unknown(place, block["factory"], known, what="factory")
        else:
            check_arguments(
                problems,
                place,
                {k: v for k, v in block.items() if k != "factory"},
                _factory(language, block["factory"]),
                default=language.get_factory_meta(block["factory"]).default_config,
                also=COMPONENT_KEYS,
                without=("nlp", "name"),
            )


def _check_initialize(problems: Problems, config: Config) -> None:
    components = config.get("components", {})
    language = _language(config)
    for name, block in config.get("initialize", {}).get("components", {}).items():
        place = f"initialize.components.{name}"
        if name not in components:
            problems.unknown("[initialize.components]", name, components, what="component")
            continue
        owner = _component_class(language, components[name].get("factory"))
        if owner is None or not hasattr(owner, "initialize"):
            check_value(problems, place, block)
        else:
            check_arguments(
                problems, place, block, owner.initialize, without=("self", "get_examples", "nlp")
            )


def _check_tokenizer(problems: Problems, config: Config) -> None:
    """Compare the settings of the tokenizer with what it takes: spaCy's own takes none."""
    place = "initialize.tokenizer"
    settings = dot_get(config, place)
    if not settings:
        return
    language = _language(config)
    block = dot_get(config, "nlp.tokenizer") or language.default_config["nlp"]["tokenizer"]
    try:
        tokenizer = registry.resolve({"tokenizer": block})["tokenizer"](language())
    except Exception:  # spaCy says so when it makes the pipeline
        return
    if hasattr(tokenizer, "initialize"):
        without = ("get_examples", "nlp")
        check_arguments(problems, place, settings, tokenizer.initialize, without=without)
    else:
        for key in settings:
            problems.unknown(place, key, (), what="argument")


def _check_corpora(problems: Problems, config: Config) -> None:
    corpora = config.get("corpora", {})
    check_value(problems, "corpora", corpora, default=DEFAULT_CONFIG["corpora"])
    known = {*corpora, "train", "dev"}
    for key in ("train_corpus", "dev_corpus"):
        value = config.get("training", {}).get(key)
        if not isinstance(value, str) or not value.startswith("corpora."):
            continue
        if dot_get(config, value) is None and value.split(".", 1)[1] not in ("train", "dev"):
            nearest = suggest(value, [f"corpora.{k}" for k in known])
            problems.add(f"training.{key}", f"there is no '{value}'. {nearest}")
    used = {v for v in _all_texts(config) if v.startswith("corpora.")}
    for name in corpora:
        # A corpus of the user's own, for `evaluate --split`, has a name far from the usual ones.
        near = difflib.get_close_matches(name, CORPORA, n=1, cutoff=0.75)
        is_block = isinstance(corpora[name], dict)
        if name not in CORPORA and is_block and near and f"corpora.{name}" not in used:
            problems.unknown("[corpora]", name, CORPORA, what="corpus")


def _check_names(problems: Problems, config: Config) -> None:
    """Names of components, wherever a list holds them."""
    components = config.get("components", {})
    pipeline = config.get("nlp", {}).get("pipeline", [])
    for place, known in (
        ("nlp.pipeline", components),
        ("nlp.disabled", pipeline),
        ("training.frozen_components", pipeline),
        ("training.annotating_components", pipeline),
    ):
        names = dot_get(config, place)
        for name in names if isinstance(names, list) else []:
            if name not in known:
                problems.unknown(place, str(name), known, what="component")


def _language(config: Config) -> type[Language]:
    Language()  # registers the factories, stock ones and those of installed packages
    code = config.get("nlp", {}).get("lang")
    try:
        return get_lang_class(code) if code else Language
    except ImportError:  # spaCy's own message about the language follows when it is built
        return Language


def _factory(language: type[Language], name: str) -> Any:
    internal = language.get_factory_name(name)
    return registry.factories.get(internal if internal in registry.factories else name)


def _component_class(language: type[Language], factory: str | None) -> Any:
    if factory is None or not language.has_factory(factory):
        return None
    try:
        return get_type_hints(_factory(language, factory)).get("return")
    except (NameError, TypeError):
        return None


def _all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for below in value.values():
            yield from _all_texts(below)
