"""How much memory processes hold, where the system says so."""

from pathlib import Path


def resident_bytes(pid: int | str = "self") -> int | None:
    """Ask for a process's resident memory.

    pid (int | str): Its number, or "self".
    RETURNS (int | None): Bytes (VmRSS of /proc/PID/status, which counts pages that processes share
        in each of them); None where there is no such file, or no such process.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    return None
