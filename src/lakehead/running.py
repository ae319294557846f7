"""A lake at work: the worker, the crawlers, the notifier and the watcher, started and stopped together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from lakehead.catalog import Catalog, Crawlers, crawl_targets
from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.etl.base import Engine
from lakehead.locks import alone
from lakehead.notify import Notifier
from lakehead.pipeline import Pipeline
from lakehead.services import PUBLISH, START_JOB_RUN, Services
from lakehead.storage import ObjectStore
from lakehead.workflow.execution import RUNNING
from lakehead.workflow.journal import Journal
from lakehead.workflow.worker import Worker

log = logging.getLogger(__name__)

LOCK_NAME = "worker.lock"
CRAWL_PAUSE_SECONDS = 0.05
"""Pause between the starts of two crawls, for each execution under way: a lone file is crawled at once."""
MAX_CRAWL_PAUSE = 2.0

LIGHT_TASKS = 16
"""How many of the tasks that only ask (records, crawlers) run at a time."""
PUBLISH_TASKS = 2
"""How many groups of notifications are published at a time: while one waits for the disk, the next one gathers."""


def worker_lock(state_dir: Path) -> AbstractContextManager[None]:
    """Be the one process that works for the lake. Raises Busy at once where another is."""
    return alone(state_dir / LOCK_NAME, "another process works for this lake already", "Stop `lakehead up` first.")


def open_crawlers(
    config: LakeConfig,
    contracts: Mapping[str, Contract],
    store: ObjectStore,
    catalog: Catalog,
    journal: Journal,
) -> Crawlers:
    """The two crawlers of every dataset. The more executions are under way, the more of them share a crawl."""
    targets = crawl_targets(
        config.environment,
        contracts.values(),
        raw_bucket=config.raw_bucket,
        processed_bucket=config.processed_bucket,
    )

    def pause() -> float:
        return min(MAX_CRAWL_PAUSE, CRAWL_PAUSE_SECONDS * journal.count(RUNNING))

    return Crawlers(catalog, store, targets, min_interval=pause, clock=journal.clock)


def open_engine(config: LakeConfig) -> Engine:
    """The ETL engine that the lake is configured for."""
    if config.engine == "spark":
        from lakehead.etl.spark.engine import SparkEngine

        master = config.master or f"local[{config.threads or '*'}]"
        return SparkEngine(master=master, memory_limit=config.memory_limit)
    from lakehead.etl.duckdb_engine import DuckDBEngine

    return DuckDBEngine(memory_limit=config.memory_limit, threads=config.threads or None)


class _Member:
    """A thread that runs until its `stop` is set; `wake` lets it look."""

    def __init__(
        self,
        guarded: Callable[[Callable[[threading.Event], None], threading.Event], None],
        run: Callable[[threading.Event], None],
        name: str,
        wake: Callable[[], None],
    ) -> None:
        self.stop, self.wake = threading.Event(), wake
        self.thread = threading.Thread(target=guarded, args=(run, self.stop), name=name)


class Work:
    """The threads that work for a lake. They end one after the other: each hears all that those before it did."""

    def __init__(self, worker: Worker, pipeline: Pipeline, notifier: Notifier) -> None:
        self._error: BaseException | None = None
        self._members = [
            _Member(self._run, worker.run, "worker", worker.wake),
            _Member(self._run, pipeline.run, "pipeline", pipeline.wake),
            _Member(self._run, notifier.run, "notifier", lambda: None),
        ]

    def begin(self) -> None:
        """Start the threads."""
        for member in self._members:
            member.thread.start()

    def end(self) -> None:
        """Stop the threads and wait for them; what is under way is given back."""
        for member in self._members:
            member.stop.set()
            member.wake()
            member.thread.join()

    def check(self) -> None:
        """Raise what ended a thread before its time: without it nothing would go on."""
        if self._error is not None:
            raise self._error

    def _run(self, run: Callable[[threading.Event], None], stop: threading.Event) -> None:
        try:
            run(stop)
        except BaseException as error:
            log.exception("a thread of the lake ended")
            self._error = error


@contextmanager
def working(
    config: LakeConfig,
    contracts: Mapping[str, Contract],
    *,
    store: ObjectStore,
    catalog: Catalog,
    journal: Journal,
    notifier: Notifier,
    pipeline: Pipeline,
) -> Iterator[Work]:
    """Run executions and deliver notifications for the length of the block.

    Afterwards what is under way is given back to the journal, for the next process to go on with.
    """
    with ExitStack() as stack:
        crawlers = open_crawlers(config, contracts, store, catalog, journal)
        stack.callback(crawlers.close)
        for outdated in crawlers.outdated():
            crawlers.start(outdated)
        engine = open_engine(config)
        stack.callback(engine.close)
        services = Services(contracts, engine, store, config.processed_bucket, catalog, crawlers, notifier)
        worker = Worker(
            journal,
            services.handlers(),
            pools={"light": LIGHT_TASKS, "etl": config.concurrency, "publish": PUBLISH_TASKS},
            routes={START_JOB_RUN: "etl", PUBLISH: "publish"},
            on_change=pipeline.changed,
        )
        work = Work(worker, pipeline, notifier)
        stack.callback(work.end)
        work.begin()
        pipeline.recover()
        yield work
