"""Runs that are over in half a second: invented sentences, a small vocabulary, a narrow model."""

import json
import multiprocessing
import os
import random
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from spacy_llm_tasks.pretraining.run import pretrain
from spacy_llm_tasks.pretraining.settings import Settings

WHO = ["the miller", "a heron", "her brother", "the old ferry", "a lantern", "the quiet clerk"]
DID = ["carried", "forgot", "repaired", "followed", "measured", "sold"]
WHAT = ["seven barrels", "the northern gate", "a copper bell", "two letters", "the last loaf"]
WHEN = ["before dawn", "in the rain", "without a word", "near the river", "for a week"]
# What a log line says of time, which no two runs have in common.
TIMES = ("pieces_per_second", "minutes", "minutes_left")

KINDS = {
    "encoder": {"objectives": {"masked": {"rate": 0.3}}},
    "decoder": {"objectives": {"causal": {}}},
    "seq2seq": {"objectives": {"denoising": {}}},
}

# Processes of their own that need not import everything again.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch._dynamo", "thinc.api", "spacy_llm_tasks.pretraining.run"])


def write_texts(path, *, n=60, seed=0):
    """A document a line, of one to five sentences."""
    draw = random.Random(seed)
    documents = []
    for _ in range(n):
        sentences = (
            " ".join(draw.choice(words) for words in (WHO, DID, WHAT, WHEN))
            for _ in range(draw.randint(1, 5))
        )
        documents.append(". ".join(sentences) + ".")
    Path(path).write_text("\n".join(documents) + "\n", encoding="utf8")
    return documents


def values(texts, kind="encoder", **changes):
    """What a config file would hold. Changes are named as `section__key`."""
    sections = {
        "corpus": {"paths": [str(texts)], "txt_documents": "line", "held_out": 0.2},
        "tokenizer": {"kind": "wordpiece", "size": 120},
        "model": {
            "kind": kind,
            "size": "tiny",
            "overrides": {"width": 16, "depth": 2, "n_heads": 2, "max_length": 32},
        },
        "data": {"length": 20, "min_pieces": 4, "batch_pieces": 100},
        "optimizer": {"learn_rate": 0.01},
        "training": {
            "max_steps": 9,
            "precision": "fp32",
            "log_steps": 2,
            "eval_steps": 4,
            "eval_batches": 2,
        },
        **KINDS[kind],
    }
    for name, value in changes.items():
        section, _, key = name.partition("__")
        sections[section] = {**sections[section], key: value} if key else value
    return sections


def run(texts, output, kind="encoder", *, resume=False, changes=None, **options):
    settings = Settings.from_dict(values(texts, kind, **(changes or {})))
    return pretrain(settings, output, resume=resume, **options)


def after(n):
    """Stop after so many steps of this process."""
    left = iter(range(n - 1))
    return lambda: next(left, None) is None


def log_of(output):
    """The lines of the log, without what they say of time."""
    lines = (output / "log.jsonl").read_text(encoding="utf8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def weights_of(output):
    return load_file(output / "model" / "model.safetensors")


def steps_of(output):
    return sorted(int(path.name.split("-")[1]) for path in (output / "checkpoints").glob("step-*"))


def fork(function, *arguments, told=None, **environment):
    """Start a process.

    told (Path | None): The file that takes what it prints.
    """
    environment = {"SPACY_LLM_TASKS_KERNEL": "plain", "OMP_NUM_THREADS": "1", **environment}
    process = FORKS.Process(target=_begin, args=(function, arguments, told, environment))
    process.start()
    return process


def _begin(function, arguments, told, environment):
    os.environ.update(environment)
    torch.set_num_threads(1)
    if told is not None:
        descriptor = os.open(told, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, sys.stdout.fileno())
        os.dup2(descriptor, sys.stderr.fileno())
    function(*arguments)
