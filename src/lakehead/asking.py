"""How a lake is asked: the query engine of this process, and the processes that run people's SQL."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.catalog import Catalog
from lakehead.config import LakeConfig
from lakehead.errors import LakeheadError
from lakehead.private import make_folder
from lakehead.results import DoctorCheck
from lakehead.storage import ObjectStore
from lakehead.storage.s3 import S3Store

if TYPE_CHECKING:
    from lakehead.query import QueryEngine
    from lakehead.query.job import Ground, Limits
    from lakehead.query.peek import Peek
    from lakehead.query.sandbox import Sandbox


def open_query_engine(config: LakeConfig, catalog: Catalog, store: ObjectStore) -> QueryEngine:
    """What answers queries in this process."""
    from lakehead.query import QueryEngine

    return QueryEngine(
        catalog,
        store,
        cache_dir=config.state_dir / "cache",
        memory_limit=config.memory_limit,
        threads=config.threads or None,
    )


def open_peek(config: LakeConfig, catalog: Catalog, store: ObjectStore) -> Peek:
    """What reads some rows of a few files. To be closed."""
    from lakehead.query.peek import Peek

    return Peek(catalog, store, cache_dir=config.state_dir / "cache", memory_limit=config.memory_limit)


def open_sandbox(config: LakeConfig, store: ObjectStore, limits: Limits | None = None) -> Sandbox:
    """What answers queries in processes of their own. The lake's catalog must stay open meanwhile."""
    from lakehead.query.sandbox import Sandbox

    return Sandbox(lambda: _ground(config, store), limits or query_limits(config))


def query_limits(config: LakeConfig) -> Limits:
    """How far a query of the console may go, by the lake's settings."""
    from lakehead.query.job import Limits

    threads = config.threads or os.cpu_count() or 1
    return Limits(memory=config.memory_limit, threads=threads, seconds=config.query_seconds)


def _ground(config: LakeConfig, store: ObjectStore) -> Ground:
    from lakehead.query.job import Ground

    remote = isinstance(store, S3Store)
    cache = config.state_dir / "cache"
    if remote:
        make_folder(cache)
    return Ground(
        catalog=str(config.state_dir / "catalog.db"),
        database=config.database,
        address=str(config.store_address),
        buckets=(config.raw_bucket, config.processed_bucket),
        cache_dir=str(cache),
        remote=remote,
        region=config.region,
        environment=store.environment() if isinstance(store, S3Store) else {},
    )


def look_at_sandbox(config: LakeConfig, store: ObjectStore) -> DoctorCheck:
    """Whether a query runs in a process of its own, and what confines it there."""
    sandbox = open_sandbox(config, store)
    try:
        with tempfile.TemporaryDirectory(prefix="doctor-", dir=config.state_dir) as folder:
            landlock = sandbox.start("SELECT 1", Path(folder)).answer().landlock
    except LakeheadError as error:
        return DoctorCheck("queries", False, error.message, error.hint)
    finally:
        sandbox.close()
    held = f"Landlock (ABI {landlock})" if landlock else "limits and DuckDB's lock-down; this system has no Landlock"
    return DoctorCheck("queries", True, f"a process of their own, confined by {held}")
