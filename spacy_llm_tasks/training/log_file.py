"""Let the logger's own file go on when the run does.

spaCy's console logger writes no file that is there already, which would leave a resumed run without
one. So the file is put aside while the run goes on, and joined with the new one at its end: the
lines up to the checkpoint, then those of the resumed run.
"""

import json
import os
from pathlib import Path
from types import TracebackType

from thinc.api import Config

from ..files import sync

ASIDE = ".earlier"


class EarlierLog:
    """While entered, the log file of a config is aside.

    config (Config): Interpolated. One whose logger writes no file is fine.
    resume (bool): Whether the run may go on; otherwise nothing is done.

    last_step (int | None): Set to the step that the run goes on after. Lines of later steps are
        dropped, because these steps are done again. None: the run did not start, keep all lines.
    """

    def __init__(self, config: Config, *, resume: bool) -> None:
        logger = config["training"].get("logger") or {}
        name = logger.get("output_file")
        self.path = Path(name) if name and resume else None
        self.last_step: int | None = None

    @property
    def aside(self) -> Path | None:
        return None if self.path is None else self.path.with_name(self.path.name + ASIDE)

    def __enter__(self) -> "EarlierLog":
        if self.path is not None and self.aside is not None and self.path.exists():
            # A resumed run that was killed left both.
            _write(self.aside, _lines(self.aside) + _lines(self.path))
            self.path.unlink()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.path is None or self.aside is None or not self.aside.exists():
            return
        earlier = [line for line in _lines(self.aside) if self._is_kept(line)]
        _write(self.path, earlier + _lines(self.path))
        self.aside.unlink()

    def _is_kept(self, line: str) -> bool:
        return self.last_step is None or json.loads(line)["step"] <= self.last_step


def _lines(path: Path) -> list[str]:
    """RETURNS (list[str]): The lines that hold a step; a kill can leave half a line."""
    found = []
    for line in path.read_text(encoding="utf8").splitlines() if path.exists() else []:
        try:
            json.loads(line)["step"]
        except (ValueError, KeyError, TypeError):
            continue
        found.append(line)
    return found


def _write(path: Path, lines: list[str]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text("".join(f"{line}\n" for line in lines), encoding="utf8")
    sync(part)
    os.replace(part, path)
