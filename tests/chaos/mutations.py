"""Five ways to do it wrong, switched on in a forked process by name. Each must be caught by the sweeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chaos import people
from chaos.truth import PROCESSED

from lakehead.etl import commit, job, plan
from lakehead.etl.base import CommitRecord, JobOutcome, Portion
from lakehead.etl.plan import Candidate, Outcome, PublishPlan
from lakehead.lake import Lake
from lakehead.storage import ObjectStore, layout


def record_before_data() -> None:
    """The commit record is put, and then the files move to where it says that they are."""

    def publish(plan: PublishPlan, store: ObjectStore) -> JobOutcome:
        outcome = commit.publish(replace(plan, moves=(), deletions=()), store)
        store.move_files(plan.bucket, plan.moves)
        for key in plan.deletions:
            store.delete(plan.bucket, key)
        return outcome

    job.publish = publish  # type: ignore[attr-defined]


def random_names() -> None:
    """Each attempt writes files of other names."""
    layout.version_digest = lambda *_: os.urandom(6).hex()


def no_fsync() -> None:
    """Nothing is made to last but what SQLite writes."""
    for name in ("fsync", "fdatasync"):
        setattr(os, name, lambda _: None)


def glob_reader() -> None:
    """A reader takes every file that lies in the table's folder, as many engines do."""

    def ask(lake: Lake, sql: str = people.SQL) -> list[list[Any]]:
        import duckdb

        paths = [str(path) for path in (lake.config.root / PROCESSED / "sales/orders").rglob("*.parquet")]
        direct = sql.replace("processed_orders", "read_parquet($paths)")
        rows = duckdb.execute(direct, {"paths": paths}).fetchall() if paths else []
        return [[number, count, int(quantity), total] for number, count, quantity, total in rows]

    people.ask = ask


def append_on_retry() -> None:
    """An attempt adds its rows to those of the attempt before it, without asking what that had done."""

    def kept(current: CommitRecord | None, candidate: Candidate) -> tuple[Portion, ...]:
        return plan.portions_of(current) if current else ()

    random_names()
    plan._kept_portions = kept
    for module in (plan, job):
        module.decide = lambda *_, **__: Outcome.COMMITTED  # type: ignore[attr-defined]


MUTATIONS: Mapping[str, Callable[[], None]] = {
    one.__name__: one for one in (record_before_data, random_names, no_fsync, glob_reader, append_on_retry)
}


def apply(name: str) -> None:
    """Switch a mutation on in this process."""
    MUTATIONS[name]()
