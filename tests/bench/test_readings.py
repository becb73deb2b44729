from spacy_llm_tasks.bench.readings import in_turns
from spacy_llm_tasks.bench.workers import Reading


def test_each_keeps_its_own_readings_and_the_first_one_changes():
    order = []

    def turn(name):
        order.append(name)
        return Reading(1.0, len(order), {"name": name})

    found = in_turns({name: lambda name=name: turn(name) for name in "ab"}, rounds=2)
    assert order == ["a", "b", "b", "a"]
    assert [reading.cpu for reading in found["a"]] == [1, 4]
    assert {reading.found["name"] for reading in found["b"]} == {"b"}
