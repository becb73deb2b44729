"""What a result was measured with: package versions, processor, date."""

import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..packages import installed

PACKAGES = (
    "spacy-llm-tasks",
    "spacy",
    "thinc",
    "torch",
    "spacy-transformers",
    "spacy-curated-transformers",
    "transformers",
    "tokenizers",
    "numpy",
)


def versions() -> dict[str, str]:
    """RETURNS (dict[str, str]): Versions of Python and of the installed packages that matter."""
    return {"python": platform.python_version(), **installed(PACKAGES)}


def machine(*, gpu_id: int = -1) -> dict[str, Any]:
    """Say what the work was done on.

    gpu_id (int): The CUDA device that did it; -1: none.
    RETURNS (dict[str, Any]): Processor model, number of cores, system, and the GPU's name, if any.
    """
    found = {"cpu": _cpu_model(), "cores": os.cpu_count(), "system": platform.system()}
    if gpu_id >= 0:
        import torch

        found["gpu"] = torch.cuda.get_device_name(gpu_id)
    return found


def now() -> str:
    """RETURNS (str): The date and time in UTC, to the second, in ISO 8601."""
    return datetime.now(timezone.utc).replace(microsecond=0).isoformat()


def circumstances(*, gpu_id: int = -1) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Versions, machine and date, for a result."""
    return {"versions": versions(), "machine": machine(gpu_id=gpu_id), "date": now()}


def _cpu_model() -> str:
    # platform.processor() is empty on most Linux systems; the kernel knows the name.
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
