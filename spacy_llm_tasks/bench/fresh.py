"""Small programs in fresh processes, to measure what a process does that has done nothing else."""

import json
import os
import subprocess
import sys
from typing import Any

from ..errors import Errors


def run(name: str, source: str, *arguments: str, threads: int = 1) -> dict[str, Any]:
    """Run a program.

    name (str): For messages.
    source (str): The program. The last line that it prints is a JSON object.
    arguments (str): In its `sys.argv`, from 1 on.
    threads (int): Threads of its matrix products.
    RETURNS (dict): The object.
    RAISES (ValueError): It failed.
    """
    counts = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments],
        capture_output=True,
        encoding="utf8",
        env={**os.environ, **counts},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ValueError(Errors.E591.format(name=name, problem=last))
    return json.loads(done.stdout.splitlines()[-1])
