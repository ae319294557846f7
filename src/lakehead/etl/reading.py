"""What every engine does alike before its own work: Python decides what the file is and what its records are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lakehead.contract import Contract
from lakehead.etl.base import EngineResult
from lakehead.etl.header import Columns, read_columns
from lakehead.etl.place import Place
from lakehead.etl.records import Encode, Normalised, normalise
from lakehead.etl.scan import Scan, scan
from lakehead.etl.source import TextFile, open_source


@dataclass(frozen=True, slots=True)
class Reading:
    """A source as UTF-8 text, what a scan saw in it, and how its columns are read (None: not even a header)."""

    text: TextFile
    seen: Scan
    columns: Columns | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth telling about the file so far."""
        return (*self.text.warnings, *(self.columns.warnings if self.columns else ()))

    def no_rows(self) -> EngineResult:
        """The result for a file without a record."""
        what = "the file holds only a header" if self.columns and self.columns.header else "the file is empty"
        return EngineResult(0, 0, 0, (), None, warnings=(*self.warnings, f"{what}: no rows"))

    def plain_records(self, columns: Columns) -> int | None:
        """How many records the file holds, where each line is one without a look at quotes; None where they need it."""
        if not self.seen.rectangular(len(columns.names)):
            return None
        return self.seen.lines - (1 if columns.header else 0)

    def normalise(self, contract: Contract, columns: Columns, work: Path, encode: Encode | None = None) -> Normalised:
        """Part good records from malformed ones, see `records.normalise`."""
        return normalise(self.text, contract.dialect, columns.header, len(columns.names), work, encode)


def read_source(source: Path, contract: Contract, place: Place, work: Path) -> Reading:
    """Make a landed file readable, look at all its bytes, and hold its header against the contract.

    Raises SourceError; temporary files go to `work`.
    """
    text = open_source(source, contract.dialect, place, work)
    seen = scan(text, contract.dialect, place)
    return Reading(text, seen, read_columns(text, contract, place))
