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
class StateVisit:
    """One stay of an execution in a state. `status`: RUNNING, SUCCEEDED, CAUGHT, FAILED or ABORTED.

    `depth` counts the Parallel and Map states around it. `attempts` counts its tasks' tries; None for a state without.
    """

    name: str
    type: str
    status: str
    entered: datetime
    exited: datetime | None = None
    depth: int = 0
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A state of a workflow. `parent` is the id of the Parallel or Map around it, "" at the top. Ids are unique.

    `status` and `count` tell what an execution made of it; "" and 0 where it was not entered. The whole's start and end
    are nodes of the types "Start" and "End". A Parallel or Map is a frame around the nodes whose parent it is. Its own
    node stands for its entry, and one of the type "Join" in it for its exit: its branches lead from one to the other.
    """

    id: str
    name: str
    type: str
    parent: str = ""
    status: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """Where a state leads. `label` is a choice's condition or a catch's errors; `caught`: a catch leads there."""

    source: str
    target: str
    label: str = ""
    taken: bool = False
    caught: bool = False


@dataclass(frozen=True, slots=True)
class RunGraph:
    """The workflow document of an execution as a graph, with the path that the execution took."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A file that a commit made: its partition (`order_date=2025-01-01`, or empty), rows and bytes."""

    key: str
    partition: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the lake holds of one landed object, by its commit record."""

    dataset: str
    bucket: str
    key: str
    etag: str
    size: int
    committed_at: datetime
    execution: str
    contract_version: str
    engine: str
    rows_read: int
    rows_committed: int
    rows_quarantined: int
    reasons: Mapping[str, int]
    files: tuple[LoadedFile, ...]
    quarantine: tuple[LoadedFile, ...]


@dataclass(frozen=True, slots=True)
class WorkMinute:
    """What ended within one minute. Durations are seconds; None where nothing succeeded."""

    minute: datetime
    succeeded: int = 0
    failed: int = 0
    rows_committed: int = 0
    rows_quarantined: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A dataset in brief. Rows, files, bytes and partitions are those that a query sees, so of the last crawl.

    `landed` is when the newest version was recorded, `loaded` when the newest load succeeded. `waiting` versions have
    no execution yet, `running` ones have.
    """

    name: str
    title: str
    processed_table: str
    quarantine_table: str
    rows: int = 0
    files: int = 0
    bytes: int = 0
    partitions: int = 0
    rows_quarantined: int = 0
    landed: datetime | None = None
    loaded: datetime | None = None
    waiting: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """A lake at a glance. The counts are those of the executions that ended within the last `window_seconds`.

    `minutes` holds those of the window in which something ended, oldest first; of a window longer than a day, ten of
    them are told as one. `success_rate` is 0 to 1.
    `complete` is False while the executions of the window are still being read for the first time.
    """

    now: datetime
    window_seconds: int
    succeeded: int
    failed: int
    rows_committed: int
    rows_quarantined: int
    success_rate: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    waiting: int
    running: int
    minutes: tuple[WorkMinute, ...]
    datasets: tuple[DatasetSummary, ...]
    failures: tuple[RunSummary, ...]
    notifications: tuple[NotificationSummary, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class ContractColumn:
    """A column of a dataset, as its contract describes it; `expression` in its own words. `rules` are for people."""

    name: str
    type: str
    required: bool
    unique: bool
    partition_key: bool
    expression: str = ""
    description: str = ""
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetDetail:
    """A dataset as its contract describes it. `document` is the contract's YAML, `settings` its custom properties."""

    summary: DatasetSummary
    version: str
    status: str
    description: str
    file: str
    document: str
    columns: tuple[ContractColumn, ...]
    settings: Mapping[str, Json]
    quality: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuarantineReason:
    """A reason, how many rows it holds back, and in how many objects."""

    reason: str
    rows: int
    objects: int


@dataclass(frozen=True, slots=True)
class Changed:
    """Something changed. `topic`: "runs", "tables" or "notifications".

    `name` is the execution's or the table's; it and `dataset` are "" where that is not known: another process did it.
    """

    topic: str
    dataset: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Landed:
    """A file that landed, and the execution that loads it.

    `new` is False where the key held the same bytes before: then the execution is the one that they had.
    """

    bucket: str
    key: str
    etag: str
    size: int
    execution: str
    new: bool


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
    """A partition, `{"order_date": "2025-01-01"}`. `path` is its Hive path, by which pages of partitions go on."""

    values: Mapping[str, str]
    rows: int | None
    files: int
    bytes: int
    path: str = ""


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
class QuarantineReplay:
    """What loading again the objects with quarantined rows changed. `rows` count those of the chosen reason, if any.

    `gone` are objects that are no longer in the raw zone, so that they could not be loaded again.
    """

    objects: int
    rows_before: int
    rows_after: int
    summary: IngestSummary
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deletable:
    """An object that can be deleted, and what goes with it. `deleted`: nothing is left of it to go."""

    dataset: str
    key: str
    landed: bool
    rows_committed: int
    rows_quarantined: int
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Deleted:
    """The record of a deletion, and where it is kept. `key` is empty where only its hash, `object_id`, was kept."""

    dataset: str
    object_id: str
    key: str
    deleted_at: str
    by: str
    reason: str
    rows_committed: int
    rows_quarantined: int
    files: int
    record: str


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
    """What a verification found. `checked` counts what holds or was looked at: objects, records, files, rows.

    `read` is how many records were read for it: the others look as they did when they were proven. `totals` counts the
    findings of each kind, of which no more than a thousand are told.
    """

    findings: tuple[VerifyFinding, ...]
    checked: Mapping[str, int] = field(default_factory=dict)
    read: int = 0
    totals: Mapping[str, int] = field(default_factory=dict)

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
    """One subscription's share of a notification. `status`: pending, sent or dead."""

    subscription: str
    status: str
    attempts: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """How many deliveries are left after a retry: `pending` ones are tried again, `given_up` ones only when asked."""

    pending: int
    given_up: int


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


@dataclass(frozen=True, slots=True)
class QueryState:
    """One query of the console. `status`: RUNNING, SUCCEEDED, FAILED or CANCELLED.

    `started` is None while it waits for its turn. `error`, `hint` and `where` (line and column, where they are known)
    tell why it failed. `row_count` is that of the rows kept; where there were more, it is `truncated`. `has_result`:
    its rows can still be read.
    """

    id: str
    sql: str
    status: str
    submitted: datetime
    started: datetime | None = None
    ended: datetime | None = None
    seconds: float | None = None
    row_count: int | None = None
    result_bytes: int | None = None
    scanned_bytes: int | None = None
    files: int | None = None
    partitions: tuple[int, int] | None = None
    truncated: bool = False
    error: str = ""
    hint: str = ""
    where: Mapping[str, Json] = field(default_factory=dict)
    has_result: bool = False

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self.status == "RUNNING"


@dataclass(frozen=True, slots=True)
class QueryPage:
    """Some rows of an answer. `columns` are names and Athena types; `total` counts all rows that are kept.

    There may be fewer rows than were asked for: the next page begins behind the last one.

    Values are ready for JSON: None, bool, number, text, list or dict. Text is also a decimal, and a whole number that a
    browser could not hold exactly. Instants are ISO 8601 in UTC, bytes are hex. A long text is cut, and then ends in an
    ellipsis.
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Json, ...], ...]
    offset: int
    total: int


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """A line, or the bars of one colour: a value, or None, for every x of its chart."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ChartData:
    """An answer as a chart. `kind`: "time" (x are seconds since 1970, ascending), "bars" (x are labels) or "none".

    `note` says what a person should know of it: what was averaged or left out, or why there is no chart.
    """

    kind: str
    note: str = ""
    x_name: str = ""
    x: tuple[float | str, ...] = ()
    series: tuple[ChartSeries, ...] = ()
