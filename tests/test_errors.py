import re
from collections import Counter
from pathlib import Path

import spacy_llm_tasks
from spacy_llm_tasks.errors import Errors, Warnings

PACKAGE = Path(spacy_llm_tasks.__file__).parent
CATALOGUE = PACKAGE / "errors"


def test_every_code_is_defined_once_and_used():
    source = "\n".join(path.read_text(encoding="utf8") for path in CATALOGUE.glob("*.py"))
    codes = Counter(re.findall(r"^    ([EW]\d{3}) = ", source, flags=re.MULTILINE))
    assert [code for code, n in codes.items() if n > 1] == []
    files = [path for path in PACKAGE.rglob("*.py") if path.parent != CATALOGUE]
    used = set(re.findall(r"\b[EW]\d{3}\b", "\n".join(p.read_text("utf8") for p in files)))
    assert sorted(set(codes) - used) == []


def test_every_room_is_in_the_catalogue():
    for path in sorted(CATALOGUE.glob("*.py")):
        for code in re.findall(r"^    ([EW]\d{3}) = ", path.read_text("utf8"), re.MULTILINE):
            message = getattr(Errors if code.startswith("E") else Warnings, code)
            assert message.startswith(f"[{code}] ")


def test_a_message_carries_its_code():
    assert Errors.E401.format(role="encoder").startswith("[E401] The encoder has no weights yet.")


def test_braces_are_doubled_only_where_a_message_is_formatted():
    """One without fields is used as it is."""
    for path in sorted(CATALOGUE.glob("*.py")):
        for code in re.findall(r"^    ([EW]\d{3}) = ", path.read_text("utf8"), re.MULTILINE):
            message = getattr(Errors if code.startswith("E") else Warnings, code)
            if not re.search(r"(?<!{){\w+", message):
                assert "{{" not in message, code
