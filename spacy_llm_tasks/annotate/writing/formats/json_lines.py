"""The project's JSONL, which `convert` and the corpus reader take back."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ...reading.columns import output_name
from ..json_text import to_json
from .writer import Writer


class JsonLinesWriter(Writer):
    """Writes an object a line: `id`, `text`, the columns of the input, and what is annotated.

    Entities are [start, end, label] as everywhere in the project; where any has a score, there is
    also `ent_scores`, one for each. What is not annotated has no key.

    path (Path): The file.
    parts (Collection[str]): What to write, see `outputs.PARTS`.
    """

    def __init__(self, path: Path, *, parts: Collection[str]) -> None:
        super().__init__(path)
        self.parts = frozenset(parts) - {"doc"}

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        lines = [to_json(self._object(record)).encode("utf-8") + b"\n" for record in records]
        self.file.writelines(lines)

    def finish(self) -> None:
        self.file.flush()

    def _object(self, record: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"id": record["id"]}
        if "text" in self.parts:
            found["text"] = record["text"]
        for name, value in record["columns"].items():
            found[output_name(name)] = value
        for part, value in record.items():
            if value is None or part == "text" or part not in self.parts:
                continue
            if part == "ents":
                found["ents"] = [[ent["start"], ent["end"], ent["label"]] for ent in value]
                scores = [ent["score"] for ent in value]
                if any(score is not None for score in scores):
                    found["ent_scores"] = scores
            elif part == "cats":
                found["cats"] = {cat["label"]: cat["score"] for cat in value}
            elif part == "embedding":
                # The shortest decimals that give the same numbers of 32 bits.
                found["embedding"] = [float(str(number)) for number in value]
            else:
                found[part] = value
        return found
