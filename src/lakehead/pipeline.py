"""From a recorded event to a finished execution: starts them a bounded number at a time and follows each to its end."""

from __future__ import annotations

import copy
import hashlib
import logging
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from lakehead.catalog import Catalog
from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.errors import ConfigError
from lakehead.events import EventStore, RecordedEvent
from lakehead.model import Json, ObjectVersion, Zone
from lakehead.notify import Notifier
from lakehead.storage import layout
from lakehead.workflow.journal import Execution, Journal

log = logging.getLogger(__name__)

RUNNING = "RUNNING"


def execution_name(dataset: str, version: ObjectVersion, replay: str = "") -> str:
    """The name of the execution that loads this version: the same for the same version, so that it starts once.

    A replay loads the version again and so has a name of its own. At most 80 characters of `[0-9A-Za-z_-]`.
    """
    readable = re.sub(r"[^0-9A-Za-z_]+", "-", f"{dataset}-{PurePosixPath(version.key).name.split('.')[0]}").strip("-")
    identity = "\n".join((version.bucket, version.key, version.etag, version.sequencer, replay))
    return f"{readable[:63]}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def configured(document: dict[str, Json], values: Mapping[str, Json]) -> dict[str, Json]:
    """The workflow document with this environment's values in its Configure state; nothing else is touched."""
    states = document.get("States", {})
    if states.get("Configure", {}).get("Type") != "Pass":
        raise ConfigError("the workflow document has no Pass state named Configure", hint="Compare it with the shipped one.")
    filled = copy.copy(document)
    filled["States"] = {**states, "Configure": {**states["Configure"], "Result": dict(values)}}
    return filled


def crawler_names(environment: str, dataset: str) -> dict[Zone, str]:
    """The names of a dataset's two crawlers."""
    slug = dataset.replace("/", "-")
    return {zone: f"{environment}-{slug}-{zone}" for zone in Zone}


def topic_arn(environment: str) -> str:
    """The topic that an environment's notifications go to."""
    return f"arn:aws:sns:local:000000000000:{environment}-lakehead"


def configure_values(config: LakeConfig, dataset: str) -> dict[str, Json]:
    """What the Configure state tells the workflow of this environment and dataset."""
    crawlers = crawler_names(config.environment, dataset)
    return {
        "environment": config.environment,
        "dataset": dataset,
        "job": f"{config.environment}-{dataset.replace('/', '-')}-etl",
        "raw_crawler": crawlers[Zone.RAW],
        "processed_crawler": crawlers[Zone.PROCESSED],
        "processed_bucket": config.processed_bucket,
        "commit_prefix": layout.commit_prefix(dataset),
        "topic_arn": topic_arn(config.environment),
        "settle_seconds": config.settle_seconds,
        "poll_seconds": config.poll_seconds,
        "redrive_command": f"lakehead --env {config.environment} runs redrive",
        "detail_defaults": {"reason": "-"},
        "object_defaults": {"etag": "-", "version-id": "-", "sequencer": "-", "size": 0},
    }


class Pipeline:
    """Starts an execution for every pending event and follows it. One per lake at a time; safe from several threads."""

    def __init__(
        self,
        config: LakeConfig,
        contracts: Mapping[str, Contract],
        document: dict[str, Json],
        *,
        events: EventStore,
        journal: Journal,
        catalog: Catalog,
        notifier: Notifier,
    ) -> None:
        self._limit = config.max_executions
        self._topic = topic_arn(config.environment)
        self._definitions = {name: configured(document, configure_values(config, name)) for name in contracts}
        self._events, self._journal, self._catalog, self._notifier = events, journal, catalog, notifier
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Execution], None]] = []

    def on_end(self, listener: Callable[[Execution], None]) -> None:
        """Call `listener` with every execution that ends, from the thread that ended it."""
        self._listeners.append(listener)

    def dispatch(self) -> int:
        """Start executions for pending events until the limit of running ones is reached. Returns how many."""
        with self._lock:
            room = self._limit - self._journal.count(status=RUNNING)
            pending = self._events.pending(limit=room) if room > 0 else []
            for recorded in pending:
                self._start(recorded)
            return len(pending)

    def _start(self, recorded: RecordedEvent) -> None:
        # Each step may be repeated after a crash: the note is harmless, the execution is de-duplicated by its name.
        version, dataset = recorded.event.object, recorded.dataset
        self._catalog.note_changed(dataset, Zone.RAW, version.key)
        name = execution_name(dataset, version, recorded.replay)
        self._journal.start_execution(
            name,
            self._definitions[dataset],
            recorded.event.to_eventbridge(),
            labels={"dataset": dataset, "key": version.key},
        )
        self._events.mark_started(recorded.number, name)

    def ended(self, execution: Execution) -> None:
        """Note the end of an execution, tell people where the workflow could not, and start what waits."""
        if execution.status in ("TIMED_OUT", "ABORTED") or (execution.error or "").startswith("States."):
            self._tell_failure(execution)
        self._events.mark_finished(execution.name, execution.status)
        for listener in self._listeners:
            listener(execution)
        self.dispatch()

    def _tell_failure(self, execution: Execution) -> None:
        """A failure that no state of the workflow can catch: a time-out, a stop, a fault of the document itself."""
        self._notifier.publish(
            self._topic,
            f"{execution.labels.get('dataset', '')}: an execution ended as {execution.status}",
            f"{execution.labels.get('key', '')}\n{execution.error}: {execution.cause}\nExecution: {execution.name}\n"
            f"Once it is mended: lakehead runs redrive {execution.name}",
            token=f"{execution.name}/ended",
            attributes={"outcome": "failure", "execution": execution.name},
        )

    def recover(self) -> None:
        """After a crash: note the ends of executions that ended before the event store heard of it."""
        for name in self._events.started():
            execution = self._journal.find(name)
            if execution is not None and execution.status != RUNNING:
                self.ended(execution)
