"""What a lake answers: plain data that the command line and the console render. Times are in UTC; sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lakehead.model import Json


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One execution. `status`: PENDING, RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED. Rows are None until known."""

    name: str
    status: str
    dataset: str
    key: str
    started: datetime
    ended: datetime | None = None
    duration_seconds: float | None = None
    rows_read: int | None = None
    rows_committed: int | None = None
    rows_quarantined: int | None = None
    error: str | None = None
    cause: str | None = None

    @property
    def failed(self) -> bool:
        """True where it ended in any other way than SUCCEEDED."""
        return self.status in ("FAILED", "TIMED_OUT", "ABORTED")


@dataclass(frozen=True, slots=True)
class RunDetail:
    """One execution with its input, output and history (Step Functions events)."""

    summary: RunSummary
    input: Json
    output: Json
    history: tuple[dict[str, Json], ...]


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far an ingest is. `found` objects are new or changed; `done` of their executions have ended."""

    found: int
    done: int
    failed: int = 0
    rows_committed: int = 0
    rows_quarantined: int = 0


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What an ingest or a replay did. `skipped` objects were loaded before, in this version."""

    found: int
    started: int
    succeeded: int
    failed: int
    skipped: int
    rows_read: int
    rows_committed: int
    rows_quarantined: int
    executions: tuple[RunSummary, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TableSummary:
    """A table of the catalog."""

    name: str
    database: str
    rows: int | None
    files: int
    bytes: int
    partitions: int
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column, with its Athena type."""

    name: str
    type: str
    partition_key: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class TablePartition:
    """A partition, `{"order_date": "2025-01-01"}`."""

    values: Mapping[str, str]
    rows: int | None
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TableDetail:
    """A table with its columns and partitions."""

    summary: TableSummary
    location: str
    columns: tuple[TableColumn, ...]
    partitions: tuple[TablePartition, ...]


@dataclass(frozen=True, slots=True)
class CrawlSummary:
    """One crawl. `status`: SUCCEEDED, FAILED or CANCELLED; `changes` counts files that came, changed or went."""

    crawler: str
    table: str
    status: str
    started: datetime
    seconds: float
    changes: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class QuarantineSummary:
    """An object with quarantined rows, and how many rows each reason holds back."""

    dataset: str
    key: str
    rows: int
    reasons: Mapping[str, int]
    committed_at: datetime | None = None
    execution: str = ""


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A row that broke the contract: its line in the file (from 1), its text and every reason."""

    dataset: str
    key: str
    line: int
    text: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifyFinding:
    """Something that breaks an invariant: what kind, where, what it is, and what mends it."""

    kind: str
    place: str
    detail: str
    fix: str = ""
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found. `checked` counts what was looked at: objects, records, files, rows."""

    findings: tuple[VerifyFinding, ...]
    checked: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True where nothing is wrong, or everything wrong was repaired."""
        return all(finding.repaired for finding in self.findings)


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """One look at the machine or the lake; `hint` says how to mend what is not ok."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class NotificationDelivery:
    """One subscription's share of a notification. `status`: pending, delivered or failed."""

    subscription: str
    status: str
    attempts: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class NotificationSummary:
    """A notification that was published, and what became of it."""

    id: str
    published: datetime
    outcome: str
    subject: str
    message: str
    execution: str = ""
    deliveries: tuple[NotificationDelivery, ...] = ()


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query of the lake's `queries/` folder."""

    name: str
    description: str
    sql: str
