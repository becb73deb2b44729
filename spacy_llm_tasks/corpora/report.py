"""What a reader could not use, and where: every reader counts here and drops nothing in silence."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

MAX_PLACES = 10


@dataclass
class Report:
    """Counts of what a reader repaired, skipped or could not use.

    path (Path): The file being read.
    unusable (Counter): Reason -> how many items were left out.
    repaired (Counter): Kind -> how many items were read in the only sensible way.
    skipped (Counter): Kind -> how many lines or keys carry no annotation and were passed by.
    places (dict): Reason or kind -> the first places as "file:line: detail".
    """

    path: Path
    unusable: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def reject(self, reason: str, line: int, detail: str = "") -> None:
        """Count something that could not be used."""
        self.unusable[reason] += 1
        self._remember(reason, line, detail)

    def repair(self, kind: str, line: int, detail: str = "") -> None:
        """Count something that was not well-formed but has one sensible reading."""
        self.repaired[kind] += 1
        self._remember(kind, line, detail)

    def skip(self, kind: str, line: int = 0) -> None:
        """Count a line or key that is no data."""
        self.skipped[kind] += 1

    def merge(self, other: "Report") -> None:
        """Add another file's counts to these."""
        self.unusable.update(other.unusable)
        self.repaired.update(other.repaired)
        self.skipped.update(other.skipped)
        for reason, places in other.places.items():
            mine = self.places.setdefault(reason, [])
            mine.extend(places[: MAX_PLACES - len(mine)])

    def _remember(self, reason: str, line: int, detail: str) -> None:
        places = self.places.setdefault(reason, [])
        if len(places) < MAX_PLACES:
            shown = detail if len(detail) <= 80 else f"{detail[:77]}..."
            place = f"{self.path}:{line}" + (f": {shown}" if shown else "")
            # Half a surrogate pair, which a place may be about, cannot be printed.
            places.append(place.encode("utf-8", "backslashreplace").decode("utf-8"))
