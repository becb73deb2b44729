"""A trained pipeline as a package: built, installed elsewhere, loaded in a fresh process."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from pipeline import toys
from spacy.util import registry

GROUPS = {
    "spacy_factories": "_entry_point_factories",
    "spacy_architectures": "architectures",
    "spacy_scorers": "scorers",
    "spacy_readers": "readers",
    "thinc_optimizers": "optimizers",
}


def ours(group):
    return [e for e in entry_points(group=group) if e.value.startswith("spacy_llm_tasks")]


@pytest.mark.parametrize("group", GROUPS)
def test_every_registered_thing_is_found_by_its_name(group):
    found = ours(group)
    assert found
    for entry in found:
        assert getattr(registry, GROUPS[group]).get(entry.name) is entry.load()


LOAD = """
import json, sys
sys.path.insert(0, sys.argv[1])
import spacy
nlp = spacy.load("en_toy")
print(json.dumps(nlp.meta["requirements"]))
docs = list(nlp.pipe(json.loads(sys.argv[2])))
print(json.dumps([[[e.text, e.label_] for e in doc.ents] for doc in docs]))
"""


@pytest.mark.slow
def test_a_package_installs_and_loads_in_a_fresh_process(tmp_path):
    nlp = toys.empty_pipeline(toys.save_tokenizer(tmp_path / "tokenizer"))
    nlp.add_pipe("trf_ner")
    nlp.add_pipe("trf_textcat")
    toys.overfit(nlp, steps=30)
    nlp.to_disk(tmp_path / "model")
    (tmp_path / "packages").mkdir()
    package = [sys.executable, "-m", "spacy", "package", "model", "packages", "--name", "toy"]
    subprocess.run(package, cwd=tmp_path, check=True)
    (archive,) = (tmp_path / "packages").rglob("*.tar.gz")
    target = tmp_path / "site"
    # Without isolation pip builds with the setuptools that is here, and needs no network.
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    pip += ["--no-build-isolation", "--target", str(target), str(archive)]
    subprocess.run(pip, cwd=tmp_path, check=True)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(target), json.dumps(toys.TEXTS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    requirements, ents = map(json.loads, done.stdout.splitlines()[-2:])
    assert any(line.startswith("spacy-llm-tasks") for line in requirements)
    assert ents == [[[e.text, e.label_] for e in doc.ents] for doc in nlp.pipe(toys.TEXTS)]
    assert any(ents)
