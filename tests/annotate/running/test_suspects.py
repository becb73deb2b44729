"""Which document is blamed for the deaths of workers, played through without any worker."""

import pytest

from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.annotate.reading.shards import Cut, Place, Shard
from spacy_llm_tasks.annotate.running.beat import Position
from spacy_llm_tasks.annotate.running.suspects import Suspects, limit_at

CUT = Cut(batch_rows=4)


def shard(n=10):
    return Shard(7, Place(0, 0), Place(0, n), [Row(f"d{i}", "text") for i in range(n)], [])


def at(batch=-1, row=-1):
    return Position(batch, row, 0, 1)


class Play:
    """A shard given to workers again and again, some of whose documents kill.

    together (set): Batches that kill as a whole, and not one by one.
    """

    def __init__(self, deadly=(), *, together=(), seconds=None):
        self.suspects = Suspects(shard(), CUT)
        self.deadly, self.together, self.seconds = set(deadly), set(together), seconds
        self.deaths = self.probes = 0

    def die(self, position):
        self.deaths += 1
        how = {"how": "signal 11"} if self.seconds is None else {"seconds": self.seconds}
        self.suspects.died(position, **how)

    def finish(self):
        for _ in range(50):
            options = self.suspects.options()
            alive = {i for i in range(10) if i not in options["faults"]}
            if options["probe"] is not None:
                self.probes += 1
                rows = [i for i in sorted(alive) if i // 4 == options["probe"]]
                killer = next((i for i in rows if i in self.deadly), None)
                if killer is None:
                    self.suspects.probed()
                else:
                    self.die(at(options["probe"], killer))
                continue
            for batch in range(3):
                here = sorted(i for i in alive if i // 4 == batch)
                killer = next((i for i in here if i in self.deadly), None)
                if batch in options["alone"]:
                    if killer is not None:
                        self.die(at(batch, killer))
                        break
                elif killer is not None or (batch in self.together and len(here) > 1):
                    self.die(at(batch))
                    break
            else:
                return options
        raise AssertionError("never done")


@pytest.mark.parametrize("deadly", [{0}, {5}, {9}, {4, 7}, {1, 5, 8}, set(range(10))])
def test_deadly_documents_and_no_others_are_left_out(deadly):
    play = Play(deadly)
    options = play.finish()
    assert set(options["faults"]) == deadly
    # The others of the batch go together again: the scores are those of a run without the deadly.
    assert not options["alone"]
    faults = options["faults"].values()
    assert {(f.component, f.error) for f in faults} == {("worker", "died")}
    assert {f.message for f in faults} == {"the process ended by signal 11"}
    assert [f.id for f in faults] == [f"d{i}" for i in options["faults"]]


def test_one_deadly_document_costs_four_workers():
    play = Play({5})
    play.finish()
    assert (play.deaths, play.probes) == (4, 3)


def test_deaths_by_chance_blame_nobody():
    suspects = Suspects(shard(), CUT)
    for position in [at(0), at(1), at(), at(2), at()]:
        suspects.died(position, how="signal 9 (SIGKILL)")
        assert suspects.options() == {"probe": None, "alone": frozenset(), "faults": {}}
    # Twice in one batch, and once more in the probe, at different documents.
    suspects.died(at(1), how="signal 9 (SIGKILL)")
    suspects.died(at(1, 4), how="signal 9 (SIGKILL)")
    suspects.died(at(1, 6), how="signal 9 (SIGKILL)")
    assert suspects.options()["probe"] == 1
    suspects.probed()
    assert suspects.options() == {"probe": None, "alone": frozenset(), "faults": {}}


def test_a_batch_that_kills_only_as_a_whole_goes_one_by_one():
    options = Play(together={1}).finish()
    assert options["alone"] == {1} and not options["faults"]


def test_slow_documents_are_left_out_at_once():
    play = Play({5}, seconds=2.5)
    options = play.finish()
    assert [(f.error, f.message) for f in options["faults"].values()] == [
        ("too slow", "more than 2.5 seconds")
    ]
    assert play.deaths == 2


def test_a_batch_that_is_slow_as_a_whole_goes_one_by_one():
    play = Play(together={0}, seconds=1.0)
    assert play.finish()["alone"] == {0}
    assert play.deaths == 1


def test_many_deaths_outside_of_documents_end_the_run():
    suspects = Suspects(shard(), CUT)
    with pytest.raises(ValueError, match="E846.*Shard 7 has ended 5 workers"):
        for _ in range(5):
            suspects.died(at(), how="signal 9 (SIGKILL)")


def test_limits():
    batches = [(0, 4), (4, 64)]
    assert limit_at(at(0), batches, seconds=3.0) == 3.0
    assert limit_at(at(1), batches, seconds=3.0) == 18.0
    assert limit_at(at(1, 5), batches, seconds=3.0) == 3.0
