"""Large numbers for people."""


def size(n_bytes: int) -> str:
    """RETURNS (str): A number of bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes} B"


def operations(n: int) -> str:
    """RETURNS (str): A number of floating-point operations for people."""
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= factor:
            return f"{n / factor:.2f} {unit}FLOP"
    return f"{n} FLOP"
