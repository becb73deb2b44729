"""What a run is told to do, apart from where and by how many workers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import Errors
from ..search.entries import check_unit
from ..search.quantize import form_of
from ..weights.checksum import sha256_of
from .annotator import strings
from .reading.read_settings import ReadSettings
from .reading.shards import Cut
from .writing.outputs import DEFAULT_PARTS, FORMATS, check_parts


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run does.

    format (str): Of the files of output: "parquet", "jsonl" or "spacy".
    parts (Sequence[str]): Which annotations are written, see `outputs.row_of`. Kept as a tuple.
    questions (Sequence[str]): What `trf_qa` is asked about each document. Kept as a tuple.
    read (ReadSettings): How files are read.
    cut (Cut): How large shards and batches are.
    seconds (float | None): A document that takes longer is left out; None sets no limit.
    threads (int | None): Threads of each worker; None: the cores, shared among the workers.
    code (str | None): A Python file that registers functions which the pipeline names.
    gpu_id (int): GPU to use; -1: the CPU.
    stdin_format (str): What the standard input is.
    index (str | None): Make a search index, too, of documents ("doc"), sentences ("sent") or
        entities ("ent"); None: none.
    index_precision (str): What candidates are searched in, see `SearchIndex.create`.
    """

    format: str = "parquet"
    parts: Sequence[str] = DEFAULT_PARTS
    questions: Sequence[str] = ()
    read: ReadSettings = field(default_factory=ReadSettings)
    cut: Cut = field(default_factory=Cut)
    seconds: float | None = None
    threads: int | None = None
    code: str | None = None
    gpu_id: int = -1
    stdin_format: str = "jsonl"
    index: str | None = None
    index_precision: str = "float32"

    def __post_init__(self) -> None:
        _require("format", self.format, self.format in FORMATS, f"one of {', '.join(FORMATS)}")
        for name in ("parts", "questions"):
            object.__setattr__(self, name, strings(name, getattr(self, name)))
        check_parts(self.parts)
        if self.index is not None:
            check_unit(self.index)
            form_of(self.index_precision, 1)
        for name, value in asdict(self.cut).items():
            _require(name, value, value >= 1, "1 or more")
        for name in ("seconds", "threads"):
            value = getattr(self, name)
            _require(name, value, value is None or value > 0, "more than 0")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Settings":
        """Make settings of options by their names, those of files and of sizes among them.

        options (Mapping): Names of fields of this class, of `ReadSettings` and of `Cut`.
        RETURNS (Settings): The settings.
        RAISES (ValueError): For an unknown name or an impossible value.
        """
        parts: dict[type, dict[str, Any]] = {cls: {}, ReadSettings: {}, Cut: {}}
        owners = {f.name: owner for owner in parts for f in fields(owner)}
        for name, value in options.items():
            if name not in owners:
                raise ValueError(Errors.E848.format(name=name, known=", ".join(owners)))
            parts[owners[name]][name] = value
        read, cut = ReadSettings(**parts[ReadSettings]), Cut(**parts[Cut])
        return cls(**{"read": read, "cut": cut, **parts[cls]})

    @property
    def written_parts(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): What rows must hold for the format."""
        needs_doc = self.format == "spacy" and "doc" not in self.parts
        return (*self.parts, "doc") if needs_doc else tuple(self.parts)

    def for_manifest(self) -> dict[str, Any]:
        """RETURNS (dict): All that changes the output, by name. Code counts by its content."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        del found["stdin_format"]  # it is in the name of the file that keeps it
        found.update(asdict(found.pop("read")))
        found.update(asdict(found.pop("cut")))
        found["code"] = None if self.code is None else sha256_of(Path(self.code))
        return found


def _require(name: str, found: object, is_good: bool, expected: str) -> None:
    if not is_good:
        raise ValueError(Errors.E806.format(name=name, expected=expected, found=found))
