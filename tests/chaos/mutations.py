"""Five ways to do it wrong, switched on in a forked process by name. Each must be caught by the sweeps.

Each works as long as nothing happens: a control that fails by itself would show nothing about the sweeps.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

from chaos import people
from chaos.truth import PROCESSED

from lakehead.errors import LakeheadError
from lakehead.etl import commit, job, jobs, plan
from lakehead.etl.base import CommitRecord, JobOutcome, Portion
from lakehead.etl.plan import Candidate, Outcome, PublishPlan
from lakehead.lake import Lake
from lakehead.storage import ObjectStore, layout


def record_before_data() -> None:
    """The commit record is put, and then the files move to where it says that they are."""

    publish_all = commit.publish_all

    def records_first(plans: Sequence[PublishPlan], store: ObjectStore) -> list[JobOutcome | LakeheadError]:
        told = publish_all([replace(one, moves=(), deletions=()) for one in plans], store)
        for one in plans:
            store.move_files(one.bucket, one.moves)
            for key in one.deletions:
                store.delete(one.bucket, key)
        return told

    for module in (commit, jobs):  # a file that is loaded alone, and those that are loaded together
        _put_in_place(module, "publish_all", records_first)


def random_names() -> None:
    """Each attempt writes files of other names."""
    _put_in_place(layout, "version_digest", lambda *_: os.urandom(6).hex())


def no_fsync() -> None:
    """Nothing is made to last but what SQLite writes."""
    for name in ("fsync", "fdatasync"):
        _put_in_place(os, name, lambda _: None)


def glob_reader() -> None:
    """A reader takes every file that lies in the table's folder, as many engines do."""

    def ask(lake: Lake, sql: str = people.SQL) -> list[list[Any]]:
        import duckdb

        paths = [str(path) for path in (lake.config.root / PROCESSED / "sales/orders").rglob("*.parquet")]
        direct = sql.replace("processed_orders", "read_parquet($paths)")
        rows = duckdb.execute(direct, {"paths": paths}).fetchall() if paths else []
        return [[number, count, int(quantity), total] for number, count, quantity, total in rows]

    _put_in_place(people, "ask", ask)


def append_on_retry() -> None:
    """An attempt adds its rows to those of the attempt before it, without asking what that had done."""

    def kept(current: CommitRecord | None, candidate: Candidate) -> tuple[Portion, ...]:
        return plan.portions_of(current) if current else ()

    random_names()
    _put_in_place(plan, "_kept_portions", kept)
    for module in (plan, job):
        _put_in_place(module, "decide", lambda *_, **__: Outcome.COMMITTED)


def _put_in_place(module: ModuleType, name: str, wrong: Callable[..., Any]) -> None:
    """Put what is wrong in the place of what is right; where nothing has that name any more, the control is void."""
    if not hasattr(module, name):
        raise AttributeError(f"{module.__name__} has no {name} to be replaced")
    setattr(module, name, wrong)


MUTATIONS: Mapping[str, Callable[[], None]] = {
    one.__name__: one for one in (record_before_data, random_names, no_fsync, glob_reader, append_on_retry)
}


def apply(name: str) -> None:
    """Switch a mutation on in this process."""
    MUTATIONS[name]()
