import random
import sqlite3

import pytest

from spacy_llm_tasks.annotate.reading.id_register import IdRegister
from spacy_llm_tasks.annotate.reading.rows import BadRow, Row


def rows_of(*ids, file="a.jsonl", first=1):
    return [Row(id, "x", file=file, number=i) for i, id in enumerate(ids, start=first)]


def ids(rows):
    return [row.id for row in rows]


def test_a_duplicate_is_refused_with_both_places(tmp_path):
    with IdRegister(tmp_path / "ids", "refuse") as register:
        register.check(rows_of("x", "y"))
        register.check([BadRow("x", "a.jsonl", 3, "broken"), Row("z", "x", file="a.txt")])
        with pytest.raises(ValueError, match=r"E812.*'y'.*a\.jsonl:2 and b\.jsonl:1"):
            register.check(rows_of("y", file="b.jsonl"))
    with IdRegister(tmp_path / "more", "refuse") as register:
        with pytest.raises(ValueError, match=r"E812.*'x'.*a\.jsonl:1 and a\.jsonl:3"):
            register.check(rows_of("x", "y", "x"))
    with IdRegister(tmp_path / "ids", "refuse") as register:
        with pytest.raises(ValueError, match=r"E812.*'z'.*: a\.txt and c\.jsonl:1"):
            register.check(rows_of("z", file="c.jsonl"))


def test_numbers_are_those_that_nobody_has(tmp_path):
    names = ["x", "x", "x#2", "y", "x", "x#3", "x", "y"]
    with IdRegister(tmp_path / "ids", "number") as register:
        rows = rows_of(*names)
        register.check(rows)
        expected = ["x", "x#2", "x#2#2", "y", "x#3", "x#3#2", "x#4", "y#2"]
        assert ids(register.settled(rows)) == expected
        bad = BadRow("x", "a.jsonl", 9, "broken")
        assert register.settled([bad, *rows[1:2]]) == [
            bad,
            Row("x#2", "x", file="a.jsonl", number=2),
        ]
        assert register.settled([]) == []


def test_it_does_not_matter_what_is_checked_together_or_again(tmp_path):
    random.seed(3)
    names = [random.choice(["a", "b", "a#2", "a#3", "b#2"]) for _ in range(60)]
    rows = rows_of(*names)
    found = []
    for size in (1, 7, 60):
        with IdRegister(tmp_path / str(size), "number") as register:
            for start in range(0, 60, size):
                register.check(rows[start : start + size])
                register.check(rows[max(start - 5, 0) : start + 1])
            found.append(ids(register.settled(rows)))
        with IdRegister(tmp_path / str(size), "number") as register:
            assert ids(register.settled(rows[20:40])) == found[-1][20:40]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) == 60


def test_what_is_not_committed_is_forgotten(tmp_path):
    register = IdRegister(tmp_path / "ids", "refuse")
    register.check(rows_of("x"))
    register.commit()
    register.check(rows_of("y", first=2))
    register.close()
    with IdRegister(tmp_path / "ids", "refuse") as register:
        register.check(rows_of("y", file="b.jsonl"))
        with pytest.raises(ValueError, match="E812"):
            register.check(rows_of("x", file="b.jsonl"))


def test_registers_that_cannot_be_used(tmp_path):
    (tmp_path / "ids").write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match="E811.*ids"):
        IdRegister(tmp_path / "ids", "number")
    with pytest.raises(ValueError, match="E806.*duplicate_ids.*refuse, number"):
        IdRegister(tmp_path / "other", "ignore")
    register = IdRegister(tmp_path / "mine", "number")
    other = sqlite3.connect(tmp_path / "mine")
    register.close()
    with pytest.raises(ValueError, match="E811"):
        register.check(rows_of("x"))
    with pytest.raises(ValueError, match="E811"):
        register.settled(rows_of("x"))
    with pytest.raises(ValueError, match="E811"):
        register.commit()
    other.close()
