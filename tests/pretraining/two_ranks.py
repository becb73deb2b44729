"""Runs in two processes that train together, as `torchrun` would start them.

Arguments: the folder to write to. Rank 0 writes what the tests look at.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.pretraining.optimisation.average import Average
from spacy_llm_tasks.pretraining.optimisation.optimizers import make_optimizer
from spacy_llm_tasks.pretraining.optimisation.precision import MixedPrecision
from spacy_llm_tasks.pretraining.team.distributed import Team
from spacy_llm_tasks.pretraining.team.names import named_tensors
from spacy_llm_tasks.pretraining.team.randomness import (
    random_states,
    restore_random_states,
    seed_all,
)
from spacy_llm_tasks.pretraining.team.replicas import (
    accumulating,
    collect,
    restore,
    spread,
    unwrap,
    wrap,
)

from .toys import ToyModel, batch_of

# Objective and sequences of each micro-batch: by step, then rank. Ranks predict unequal numbers of
# pieces; when copied, they also train different objectives at the same moment.
COPIED = [
    [[("a", (5, 3)), ("b", (4,)), ("a", (2,))], [("b", (6, 2)), ("a", (1,)), ("a", (9, 8))]],
    [[("a", (3,)), ("a", (4,)), ("a", (2,))], [("a", (7, 1)), ("a", (1,)), ("a", (2,))]],
    [[("a", (3,)), ("b", (4,)), ("a", (2,))], [("a", (7, 1)), ("b", (1,)), ("a", (2,))]],
]
SHARDED = [
    [[("a", (5, 3)), ("b", (4,)), ("a", (2,))], [("a", (6, 2)), ("b", (1,)), ("a", (9, 8))]],
    *COPIED[1:],
]


def batches_of(plan, step, rank):
    return [
        (name, batch_of(*lengths, seed=100 * step + 10 * rank + place))
        for place, (name, lengths) in enumerate(plan[step][rank])
    ]


def make(model, name):
    optimizer = make_optimizer(model, name=name, learn_rate=0.01, matrix_learn_rate=0.02)
    for group in optimizer.param_groups:
        if "dtype" in group:  # machines round alike in float32
            group["dtype"] = torch.float32
    return optimizer


def gradients(model, team, batches):
    """Accumulate a step's gradients. RETURNS the micro-batches' losses."""
    count = sum(len(sequence) for _, batch in batches for sequence in batch)
    factor = team.factor(count)
    losses = []
    for place, (name, batch) in enumerate(batches):
        with accumulating(model, is_last=place == len(batches) - 1):
            loss = model(name, batch)
            (loss.total * factor).backward()
        losses.append(loss.total.item())
    return losses


def whole_gradients(model, team):
    found = {n: t.grad for n, t in named_tensors(model).items() if t.grad is not None}
    return collect(found, team)


def train(team, folder, kind, plan, name):
    """Two steps, a checkpoint, a third step; and the third step again from the checkpoint."""
    sharded = kind == "sharded"
    model = wrap(ToyModel(seed=team.rank), team, sharded=sharded)  # weights of the first count
    optimizer = make(model, name)
    average = Average(model, decay=0.5)
    precision = MixedPrecision("fp32", device=team.device)
    facts = {"losses": [], "norms": []}
    saved = {}
    for step in range(3):
        optimizer.zero_grad()
        batches = batches_of(plan, step, team.rank)
        facts["losses"].append(team.gather(gradients(model, team, batches)))
        if step == 0:
            saved["gradients"] = whole_gradients(model, team)
        facts["norms"].append(precision.clip(model, optimizer, max_norm=0.5))
        precision.step(optimizer)
        average.update()
        if step == 1:
            saved["model"] = collect(named_tensors(model), team)
            saved["optimizer"] = collect(optimizer.state_dict(), team)
            saved["average"] = collect(average.state_dict(), team)
            with average.swap():
                saved["swapped"] = collect(named_tensors(model), team)
    saved["end"] = collect(named_tensors(model), team)

    again = wrap(ToyModel(seed=9), team, sharded=sharded)
    restored = make(again, name)
    followed = Average(again, decay=0.5)
    spread(saved["model"], named_tensors(again), team)
    restore(saved["optimizer"], restored, team)
    restore(saved["average"], followed, team)
    gradients(again, team, batches_of(plan, 2, team.rank))
    precision.clip(again, restored, max_norm=0.5)
    precision.step(restored)
    followed.update()
    saved["end again"] = collect(named_tensors(again), team)
    saved["average end"] = collect(average.state_dict(), team)
    saved["average end again"] = collect(followed.state_dict(), team)
    facts["numbers kept"] = team.gather(
        sum(
            t.to_local().numel() if hasattr(t, "to_local") else t.numel()
            for t in optimizer.state_dict().values()
        )
    )
    facts["unwrapped"] = isinstance(unwrap(model), ToyModel)
    if team.is_first:
        (folder / f"{kind} {name}.json").write_text(json.dumps(facts))
        for part, tensors in saved.items():
            save_file(tensors, folder / f"{kind} {name} {part}.safetensors")


def talk(team, folder):
    """What members tell each other."""
    facts = {
        "gather": team.gather({"rank": team.rank, "text": "ü" * (5 * team.rank)}),
        "share": team.share(["from", team.rank, None]),
        "sum": [team.sum(team.rank + 0.5), team.sum(torch.tensor([1, team.rank])).tolist()],
        "factor": team.factor(3.0 if team.is_first else 1.0),
        "nothing": team.factor(0.0),
        "on_first": team.on_first(lambda: {"done by": team.rank}),
    }
    own = torch.tensor(1.0)
    team.sum(own)
    facts["own"] = own.item()

    def fail():
        raise OSError("no room")

    try:
        team.on_first(fail)
    except (OSError, RuntimeError) as error:
        facts["failure"] = team.gather([type(error).__name__, str(error)])

    try:
        team.on_first(lambda: {"no", "JSON"})
    except (TypeError, RuntimeError) as error:
        facts["not sent"] = team.gather(type(error).__name__)

    for shapes in ({"w": torch.ones(2)}, {"v": torch.ones(3)}):
        try:
            spread(shapes if team.is_first else {}, {"v": torch.zeros(2)}, team)
        except ValueError as error:
            facts.setdefault("refused", []).append(team.gather(str(error)[:6]))

    seed_all(5, team.rank)
    states = random_states(team)
    first = torch.rand(2).tolist()
    restore_random_states(states, team, seed=5, step=1)
    facts["draws"] = team.gather([first, torch.rand(2).tolist()])
    team.barrier()
    if team.is_first:
        (folder / "talk.json").write_text(json.dumps(facts))


def main():
    warnings.simplefilter("error", FutureWarning)
    torch.set_num_threads(1)
    kernels.use("plain")
    folder = Path(sys.argv[1])
    team = Team.from_environment("cpu")
    talk(team, folder)
    for kind, plan in (("copied", COPIED), ("sharded", SHARDED)):
        for name in ("adamw", "muon"):
            train(team, folder, kind, plan, name)
    team.close()


if __name__ == "__main__":
    main()
