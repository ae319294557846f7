"""What an ETL engine is: one prepared source file and a contract in, staged files and counts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lakehead.contract import Contract
from lakehead.errors import LakeheadError
from lakehead.model import ObjectVersion


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One object version to load. `attempt` is unique to this try; `execution` is the workflow execution behind it.

    `force` loads the version again even where it is committed already (a replay).
    """

    dataset: str
    source: ObjectVersion
    execution: str
    attempt: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file an engine wrote. `partition` is its Hive path, `order_date=2025-01-01` (`""` where there is none).

    The engine may leave `sha256` (of the file's bytes) empty.
    """

    path: Path
    partition: str
    rows: int
    bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class EngineResult:
    """What an engine made of a source: the files it staged and what became of every row."""

    rows_read: int
    rows_committed: int
    rows_quarantined: int
    files: tuple[StagedFile, ...]
    quarantine: StagedFile | None
    reasons: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommittedFile:
    """A data file named by a commit record."""

    key: str
    partition: str
    rows: int
    bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Portion:
    """What one version of an object contributed to a record. `keys` name its data files and its quarantine file."""

    content_sha256: str
    contract_sha256: str
    rows_read: int
    rows_committed: int
    rows_quarantined: int
    keys: tuple[str, ...]
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """The one truth about an object: which version of it is loaded, and which files hold its rows.

    Stored as JSON at `_lakehead/commits/<dataset>/<object_id>.json` in the processed bucket. With `onRewrite: append`
    files and counts are those of all versions, so that they always are the whole of what the object contributes;
    `portions` then tells them apart. `source` and `content_sha256` are the newest version's.

    `replaced` names files of the record before this one: deleted after this one was written, and perhaps not yet.
    `duplicate_of` is the key whose rows stand for this object's, which has the same bytes (onDuplicateContent: skip).

    `deleted` is when the object was deleted for good: the record then is a tombstone, which names no file and keeps no
    content. Its `source` holds the sequencer up to which every version is gone, and the key only where it was kept.
    """

    dataset: str
    object_id: str
    source: ObjectVersion
    content_sha256: str
    contract_version: str
    contract_sha256: str
    engine: str
    execution: str
    attempt: str
    committed_at: str
    rows_read: int
    rows_committed: int
    rows_quarantined: int
    files: tuple[CommittedFile, ...]
    quarantine: tuple[CommittedFile, ...]
    schema: tuple[tuple[str, str], ...]
    reasons: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    portions: tuple[Portion, ...] = ()
    replaced: tuple[str, ...] = ()
    duplicate_of: str = ""
    deleted: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Every data and quarantine file of the record."""
        return tuple(file.key for file in (*self.files, *self.quarantine))


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended: `committed`, `unchanged` (this version was committed before), `superseded` (a newer one was)."""

    outcome: str
    record: CommitRecord
    commit_key: str


@dataclass(frozen=True, slots=True)
class Load:
    """A file that an engine is to load beside others; see `Engine.load`."""

    source: Path
    origin: ObjectVersion
    staging: Path


class Engine(Protocol):
    """Loads one local source file by a contract. Writes below `staging` only; nothing is visible before the commit."""

    name: str

    def load(self, source: Path, contract: Contract, *, origin: ObjectVersion, staging: Path) -> EngineResult:
        """Read `source`, stage Parquet files and the quarantine file, and account for every row.

        `origin` says where the bytes come from, for messages and the quarantine. Deterministic: the same bytes and
        contract give the same files. Raises SourceError for a file that cannot be loaded.
        """

    def shares(self, contract: Contract) -> bool:
        """Whether files of this contract gain by being loaded together. Where not, they only wait for each other."""

    def load_together(self, loads: Sequence[Load], contract: Contract) -> Sequence[EngineResult | LakeheadError | None]:
        """Load many small files, each as by `load` and into the same files; for each its result, or what it raises.

        None where a file is too large for that: it is for `load`, once the others need not wait for it.
        """

    def close(self) -> None:
        """Let go of what is kept for the next load."""


def load_each(engine: Engine, loads: Sequence[Load], contract: Contract) -> list[EngineResult | LakeheadError]:
    """`Engine.load_together` for an engine that gains nothing by it."""
    found: list[EngineResult | LakeheadError] = []
    for one in loads:
        try:
            found.append(engine.load(one.source, contract, origin=one.origin, staging=one.staging))
        except LakeheadError as error:
            found.append(error)
    return found
