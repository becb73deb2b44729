import re
from collections import Counter
from pathlib import Path

import spacy_llm_tasks
from spacy_llm_tasks.errors import Errors

PACKAGE = Path(spacy_llm_tasks.__file__).parent


def test_every_code_is_defined_once_and_used():
    source = (PACKAGE / "errors.py").read_text(encoding="utf8")
    codes = Counter(re.findall(r"^    ([EW]\d{3}) = ", source, flags=re.MULTILINE))
    assert [code for code, n in codes.items() if n > 1] == []
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "errors.py"]
    used = set(re.findall(r"\b[EW]\d{3}\b", "\n".join(p.read_text("utf8") for p in files)))
    assert sorted(set(codes) - used) == []


def test_a_message_carries_its_code():
    assert Errors.E401.format(role="encoder").startswith("[E401] The encoder has no weights yet.")
