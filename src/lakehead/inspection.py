"""What a lake can tell about itself: runs, tables, quarantine, health. Reads only; returns plain results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from lakehead.catalog import Catalog, Crawl, Table
from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.errors import LakeheadError
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import scan_commits
from lakehead.etl.verify import VerifyReport as Verification
from lakehead.model import Json
from lakehead.notify import FeedItem
from lakehead.results import (
    CrawlSummary,
    DoctorCheck,
    NotificationDelivery,
    NotificationSummary,
    QuarantineSummary,
    RunSummary,
    TableColumn,
    TableDetail,
    TablePartition,
    TableSummary,
    VerifyFinding,
    VerifyReport,
)
from lakehead.storage import ObjectStore
from lakehead.workflow.journal import Execution

LOW_DISK_BYTES = 1 << 30


def run_summary(execution: Execution) -> RunSummary:
    """An execution in brief. The rows are those its output tells."""
    output = execution.output if isinstance(execution.output, dict) else {}
    seconds = (execution.ended - execution.started).total_seconds() if execution.ended else None
    return RunSummary(
        execution.name,
        execution.status,
        execution.labels.get("dataset", ""),
        execution.labels.get("key", ""),
        execution.started,
        execution.ended,
        seconds,
        output.get("rows_read"),
        output.get("rows_committed"),
        output.get("rows_quarantined"),
        execution.error,
        execution.cause,
    )


def table_summary(table: Table) -> TableSummary:
    """A table in brief."""
    return TableSummary(
        table.name, table.database, table.rows, table.files, table.bytes, table.partitions, table.updated
    )


def table_detail(catalog: Catalog, name: str) -> TableDetail:
    """A table with its columns and partitions, from one moment. Raises TableNotFound."""
    with catalog.snapshot() as snapshot:
        table = snapshot.table(name)
        partitions = snapshot.partitions(name)
    keys = {key.name for key in table.partition_keys}
    columns = tuple(
        TableColumn(column.name, column.type, column.name in keys, column.comment)
        for column in (*table.columns, *table.partition_keys)
    )
    parts = tuple(
        TablePartition({key: value or "" for key, value in part.values.items()}, part.rows, part.files, part.bytes)
        for part in partitions
        if part.path
    )
    return TableDetail(table_summary(table), table.location, columns, parts)


def crawl_summary(crawl: Crawl) -> CrawlSummary:
    """A crawl in brief."""
    return CrawlSummary(
        crawl.crawler, crawl.table, crawl.status, crawl.started, crawl.seconds, crawl.report.changes, crawl.error
    )


def readable_commits(store: ObjectStore, bucket: str, dataset: str) -> Iterator[CommitRecord]:
    """A dataset's commit records, without damaged ones: those are for `verify` to tell of."""
    return (found for _, found in scan_commits(store, bucket, dataset) if isinstance(found, CommitRecord))


def quarantined(records: Iterable[CommitRecord], limit: int) -> list[QuarantineSummary]:
    """The objects with quarantined rows, those with most first."""
    found = [
        QuarantineSummary(
            record.dataset,
            record.source.key,
            record.rows_quarantined,
            dict(sorted(record.reasons.items(), key=lambda item: (-item[1], item[0]))),
            datetime.fromisoformat(record.committed_at),
            record.execution,
        )
        for record in records
        if record.rows_quarantined
    ]
    return sorted(found, key=lambda one: (-one.rows, one.key))[:limit]


def quarantine_sql(table: str, key: str | None, reason: str | None, limit: int, *, reasons: str = "reasons") -> str:
    """Athena SQL for quarantined rows: key, line, text, and the reasons as this expression gives them."""

    def text(value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    conditions = [f"source_key = {text(key)}"] if key else []
    if reason:
        conditions.append(f"contains(reasons, {text(reason)})")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f'SELECT source_key, line, text, {reasons} FROM "{table}"{where} ORDER BY source_key, line LIMIT {limit}'


def notification(item: FeedItem) -> NotificationSummary:
    """A notification of the feed."""
    deliveries = tuple(
        NotificationDelivery(one.subscription, one.state, one.attempts, one.last_error) for one in item.deliveries
    )
    return NotificationSummary(
        item.message_id,
        item.time,
        item.attributes.get("outcome", ""),
        item.subject,
        item.message,
        item.attributes.get("execution", ""),
        deliveries,
    )


def stale_tables(
    catalog: Catalog, contracts: Mapping[str, Contract], store: ObjectStore, bucket: str
) -> list[VerifyFinding]:
    """Tables that do not name just the files that commit records name: a crawl was missed."""
    known = {table.name for table in catalog.tables()}
    found = []
    for dataset, contract in contracts.items():
        records = list(readable_commits(store, bucket, dataset))
        for table, committed in (
            (contract.processed_table, {file.key for record in records for file in record.files}),
            (contract.quarantine_table, {file.key for record in records for file in record.quarantine}),
        ):
            named = {file.key for file in catalog.files(table)} if table in known else set()
            if named != committed:
                detail = f"names {len(named - committed):,} files too many and {len(committed - named):,} too few"
                found.append(VerifyFinding("stale table", table, detail, "lakehead catalog crawl --full"))
    return found


def verified(report: Verification, stale: Sequence[VerifyFinding], *, repaired: bool) -> VerifyReport:
    """What a verification found, for people. With `repaired`, a full crawl has mended the stale tables.

    An object that is not loaded yet, or cannot be, breaks no invariant: it is counted, and `lakehead runs` tells why.
    """
    findings = [VerifyFinding(one.kind, one.place, one.detail, one.fix, one.repaired) for one in report.findings]
    mended = [replace(one, repaired=repaired) for one in stale]
    waiting = {"objects not loaded": len(report.pending)} if report.pending else {}
    return VerifyReport((*findings, *mended), {**report.checked, **waiting})


def log_lines(log_file: Path, execution: str) -> Iterator[dict[str, Json]]:
    """The log lines of one execution, oldest first, over the files that rotation left."""
    rotated = sorted(log_file.parent.glob(log_file.name + ".*"), key=lambda path: int(path.suffix[1:]), reverse=True)
    for path in (*rotated, log_file):
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                # A crash may have cut the last line short; the search text also skips other executions' lines quickly.
                if execution in line and (found := _decoded(line)) and found.get("execution") == execution:
                    yield found


def _decoded(line: str) -> dict[str, Json] | None:
    try:
        decoded = json.loads(line)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) else None


def health(config: LakeConfig, store: ObjectStore, checks: Sequence[DoctorCheck] = ()) -> list[DoctorCheck]:
    """The machine and the lake, looked at one by one; no look changes anything but a probe object it removes."""
    found = [_versions(), _settings(config), _disk(config)]
    found += [_bucket(store, bucket) for bucket in (config.raw_bucket, config.processed_bucket)]
    return [*found, *checks]


def _versions() -> DoctorCheck:
    import platform
    from importlib.metadata import version

    told = ", ".join(f"{name} {version(name)}" for name in ("lakehead", "duckdb", "sqlglot"))
    return DoctorCheck("versions", True, f"Python {platform.python_version()}, {told}")


def _settings(config: LakeConfig) -> DoctorCheck:
    return DoctorCheck("settings", True, f"{config.file}, environment {config.environment}")


def _disk(config: LakeConfig) -> DoctorCheck:
    free = shutil.disk_usage(config.root).free
    ok = free >= LOW_DISK_BYTES
    hint = "" if ok else "A load stages a file's rows before it commits them: make room."
    return DoctorCheck("disk", ok, f"{free / (1 << 30):.1f} GiB free", hint)


def _bucket(store: ObjectStore, bucket: str) -> DoctorCheck:
    """Whether the bucket can be written, read and cleared: what the store promises is tried, not assumed."""
    probe, data = "_lakehead/doctor", b"lakehead doctor"
    try:
        store.put(bucket, probe, data)
        same = store.get(bucket, probe) == data
        store.delete(bucket, probe)
    except LakeheadError as error:
        return DoctorCheck(f"bucket {bucket}", False, error.message, error.hint)
    return DoctorCheck(f"bucket {bucket}", same, "written and read back" if same else "reads back something else")
