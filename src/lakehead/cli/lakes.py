"""What commands need of a lake, whoever runs it: this machine (`Lake`) or AWS (`AwsLake`)."""

# ruff: noqa: D102 (the contracts are Lake's)

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol

from lakehead.model import Json, ObjectVersion
from lakehead.results import (
    CrawlSummary,
    Deletable,
    Deleted,
    DoctorCheck,
    IngestProgress,
    IngestSummary,
    NamedQuery,
    NotificationSummary,
    QuarantineReplay,
    QuarantineRow,
    QuarantineSummary,
    RunDetail,
    RunSummary,
    TableDetail,
    TableSummary,
    Undelivered,
    VerifyReport,
)

if TYPE_CHECKING:
    from lakehead.config import LakeConfig
    from lakehead.query import QueryResult


class AnyLake(Protocol):
    """One environment of a lake. The contracts of the methods are `Lake`'s; a method without a meaning is refused."""

    config: LakeConfig

    def put(
        self,
        files: Sequence[Path],
        *,
        dataset: str | None = None,
        ingest_date: date | None = None,
        progress: Callable[[Path], None] | None = None,
    ) -> list[ObjectVersion]: ...

    def ingest(
        self, *, progress: Callable[[IngestProgress], None] | None = None, timeout: float | None = None
    ) -> IngestSummary: ...

    def up(
        self,
        stop: Event,
        *,
        on_run: Callable[[RunSummary], None] | None = None,
        on_ready: Callable[[], None] | None = None,
    ) -> None: ...

    def replay(
        self,
        *,
        dataset: str | None = None,
        key: str | None = None,
        prefix: str | None = None,
        date: date | None = None,
        progress: Callable[[IngestProgress], None] | None = None,
    ) -> IngestSummary: ...

    def replay_quarantine(
        self,
        *,
        dataset: str | None = None,
        key: str | None = None,
        reason: str | None = None,
        progress: Callable[[IngestProgress], None] | None = None,
    ) -> QuarantineReplay: ...

    def redrive(self, name: str) -> RunSummary: ...

    def stop(self, name: str, cause: str = "") -> RunSummary: ...

    def query(self, sql: str) -> QueryResult: ...

    def named_queries(self) -> list[NamedQuery]: ...

    def runs(
        self,
        *,
        status: str | None = None,
        dataset: str | None = None,
        key: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[RunSummary]: ...

    def run(self, name: str) -> RunDetail: ...

    def run_document(self, name: str) -> dict[str, Json]: ...

    def run_logs(self, name: str) -> Iterator[dict[str, Json]]: ...

    def tables(self) -> list[TableSummary]: ...

    def table(self, name: str) -> TableDetail: ...

    def crawl(self, name: str | None = None, *, full: bool = False) -> list[CrawlSummary]: ...

    def quarantine_files(self, *, dataset: str | None = None, limit: int = 50) -> list[QuarantineSummary]: ...

    def quarantine_rows(
        self, *, dataset: str | None = None, key: str | None = None, reason: str | None = None, limit: int = 100
    ) -> list[QuarantineRow]: ...

    def notifications(self, limit: int = 50) -> list[NotificationSummary]: ...

    def retry_notifications(self) -> Undelivered: ...

    def deletable(
        self, keys: Sequence[str] = (), *, prefix: str | None = None, dataset: str | None = None
    ) -> list[Deletable]: ...

    def delete(
        self, chosen: Sequence[Deletable], *, by: str, reason: str = "", keep_key: bool = True
    ) -> list[Deleted]: ...

    def verify(
        self, *, repair: bool = False, full: bool = False, progress: Callable[[str], None] | None = None
    ) -> VerifyReport: ...

    def doctor(self) -> list[DoctorCheck]: ...


def open_lake(config: LakeConfig) -> AbstractContextManager[AnyLake]:
    """The lake of this configuration, by whoever runs it. Raises ConfigError and StorageUnavailable."""
    if config.runtime == "aws":
        from lakehead.aws.lake import AwsLake

        return AwsLake.open(config)
    from lakehead.lake import Lake

    return Lake.open(config)
