"""The training loop of the peers that are plain torch modules."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spacy_llm_tasks.bench.blocks import WARM_UP
from spacy_llm_tasks.bench.loop import Progress, batches
from spacy_llm_tasks.bench.sets import BenchSet

OPTIMIZER = {
    "name": "torch.optim.AdamW",
    "betas": [0.9, 0.999],
    "eps": 1e-8,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "schedule": "linear",
    "warm_up": WARM_UP,
}


def fit(
    model: nn.Module,
    loss_of: Callable[[Sequence[int]], Tensor],
    *,
    n_docs: int,
    item: BenchSet,
    learn_rate: float,
    seed: int,
    progress: Progress,
) -> None:
    """Train with AdamW: linear warm-up, then a linear decline to 0; gradients clipped together, no
    decay of biases and norms, as both libraries' own trainers do.

    model (nn.Module): The model, all of whose parameters learn at one rate.
    loss_of (Callable): From the numbers of a batch's documents to their loss.
    n_docs (int): The number of training documents.
    item (BenchSet): Size of a batch and number of updates.
    learn_rate (float): The highest rate.
    seed (int): Decides the order of the documents, as it does on our side.
    progress (Progress): Called after every update.
    """
    from transformers import get_linear_schedule_with_warmup

    optimizer = torch.optim.AdamW(
        _groups(model),
        lr=learn_rate,
        betas=tuple(OPTIMIZER["betas"]),
        eps=OPTIMIZER["eps"],
    )
    schedule = get_linear_schedule_with_warmup(
        optimizer, round(WARM_UP * item.updates), item.updates
    )
    order = batches(n_docs, size=item.batch_docs, updates=item.updates, seed=seed)
    model.train()
    for step, batch in enumerate(order, start=1):
        loss = loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER["clip_norm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        progress(step, item.updates, float(loss))
    model.eval()


def _groups(model: nn.Module) -> list[dict[str, Any]]:
    """Vectors are biases and the weights of norms."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {
            "params": [p for p in parameters if p.ndim > 1],
            "weight_decay": OPTIMIZER["weight_decay"],
        },
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
