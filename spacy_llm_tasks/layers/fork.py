"""Cure for a hang: a forked child must not use the OpenMP threads of its parent.

`nlp.pipe(n_process=2)` forks. If torch ran with several threads before, the child waits for worker
threads that were not copied and hangs for ever. Shrinking torch to one thread just before the fork
prevents that; the parent gets its threads back afterwards, the children keep one each, which is
also what makes several processes faster than one.

A child must not compile either, where its parent did: PyTorch's compiler waits there for helpers of
the parent. What is compiled already is used, and the rest runs without.
"""

import os
import sys

import torch

_threads_before_fork: list[int] = []
_guarded = False


def guard_forks() -> None:
    """Install the guard once per process. Does nothing where there is no fork."""
    global _guarded
    if _guarded or not hasattr(os, "register_at_fork"):
        return
    os.register_at_fork(before=_shrink, after_in_parent=_restore, after_in_child=_compile_no_more)
    _guarded = True


def _shrink() -> None:
    _threads_before_fork.append(torch.get_num_threads())
    if _threads_before_fork[-1] > 1:
        torch.set_num_threads(1)


def _restore() -> None:
    threads = _threads_before_fork.pop()
    if threads > 1:
        torch.set_num_threads(threads)


def _compile_no_more() -> None:
    if "torch._inductor.compile_fx" in sys.modules and hasattr(torch.compiler, "set_stance"):
        torch.compiler.set_stance("eager_on_recompile")
