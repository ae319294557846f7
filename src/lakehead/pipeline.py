"""From a recorded event to a finished execution: starts them a bounded number at a time and follows each to its end."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import PurePosixPath

from lakehead.catalog import Catalog
from lakehead.catalog.targets import crawler_name
from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.errors import ConfigError, ExecutionNotFound, TransientError
from lakehead.events import EventStore, RecordedEvent
from lakehead.model import Json, ObjectVersion, Zone
from lakehead.notify import Notifier
from lakehead.storage import layout
from lakehead.workflow.execution import RUNNING
from lakehead.workflow.journal import Change, Execution, Journal, Start

log = logging.getLogger(__name__)

METADATA_SYNC = "crawler"
"""How the embedded catalog learns of new rows. On AWS it may also be "direct": the job writes to the catalog itself."""

EXECUTIONS_PER_TASK = 64
"""Executions under way for each ETL task that may run: those that wait for a crawl share it."""

STARTED_TOGETHER = 4
"""A part, one of so many, of the executions that may run has to be free before more are started."""

RETRY_SECONDS = 1.0
"""The pause after the ends of executions could not be noted."""


def execution_name(dataset: str, version: ObjectVersion, replay: str = "") -> str:
    """The name of the execution that loads this version: the same for the same version, so that it starts once.

    A replay loads the version again and so has a name of its own. At most 80 characters of `[0-9A-Za-z_-]`.
    """
    readable = re.sub(r"[^0-9A-Za-z_]+", "-", f"{dataset}-{PurePosixPath(version.key).name.split('.')[0]}").strip("-")
    identity = "\n".join((version.bucket, version.key, version.etag, version.sequencer, replay))
    return f"{readable[:63]}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def load_document(config: LakeConfig) -> dict[str, Json]:
    """The lake's workflow document; the shipped one where the lake has none. Raises ConfigError."""
    shipped = files("lakehead.examples") / "sales" / "workflow" / "ingest.asl.json"
    source = config.workflow_file if config.workflow_file.is_file() else shipped
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"the workflow document is no JSON: {error}", file=str(source)) from error
    if not isinstance(document, dict):
        raise ConfigError("the workflow document is no JSON object", file=str(source))
    return document


def configured(document: dict[str, Json], values: Mapping[str, Json]) -> dict[str, Json]:
    """The workflow document with this environment's values in its Configure state; nothing else is touched."""
    states = document.get("States", {})
    if states.get("Configure", {}).get("Type") != "Pass":
        raise ConfigError(
            "the workflow document has no Pass state named Configure", hint="Compare it with the shipped one."
        )
    filled = copy.copy(document)
    filled["States"] = {**states, "Configure": {**states["Configure"], "Result": dict(values)}}
    return filled


def topic_arn(environment: str) -> str:
    """The topic that an environment's notifications go to."""
    return f"arn:aws:sns:local:000000000000:{environment}-lakehead"


def redrive_command(environment: str) -> str:
    """What a person types, with an execution's name behind it, to run a failed execution again."""
    return f"lakehead --env {environment} runs redrive"


def configure_values(config: LakeConfig, dataset: str) -> dict[str, Json]:
    """What the Configure state tells the workflow of this environment and dataset."""
    return {
        "environment": config.environment,
        "dataset": dataset,
        "job": f"{config.environment}-{dataset.replace('/', '-')}-etl",
        "raw_crawler": crawler_name(config.environment, dataset, Zone.RAW),
        "processed_crawler": crawler_name(config.environment, dataset, Zone.PROCESSED),
        "processed_bucket": config.processed_bucket,
        "commit_prefix": layout.commit_prefix(dataset),
        "topic_arn": topic_arn(config.environment),
        "metadata_sync": METADATA_SYNC,
        # Wait states take whole seconds.
        "settle_seconds": math.ceil(config.settle_seconds),
        "poll_seconds": math.ceil(config.poll_seconds),
        "redrive_command": redrive_command(config.environment),
        "detail_defaults": {"reason": "-"},
        "object_defaults": {"etag": "-", "version-id": "-", "sequencer": "-", "size": 0},
    }


class Pipeline:
    """Starts an execution for every pending event and follows it. Safe from several threads.

    What ends while `run` runs is noted by its thread, in groups: those who end executions do not wait for it.
    """

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
        self._limit = config.concurrency * EXECUTIONS_PER_TASK
        self._config = config
        self._definitions = {name: configured(document, configure_values(config, name)) for name in contracts}
        self._events, self._journal, self._catalog, self._notifier = events, journal, catalog, notifier
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Execution], None]] = []
        self._ended: deque[str] = deque()
        self._woken = threading.Event()
        self._room_made = False

    def on_end(self, listener: Callable[[Execution], None]) -> None:
        """Call `listener` with every execution that ends, from the thread that notes it."""
        self._listeners.append(listener)

    def dispatch(self) -> int:
        """Start executions for pending events until the limit of running ones is reached. Returns how many.

        Where many run, nothing is started until some of them have ended, so that starts share their writes.
        """
        with self._lock:
            running = self._journal.count(RUNNING)
            room = self._limit - running
            if running and room < self._limit // STARTED_TOGETHER:
                return 0
            # One whose contract was taken away waits for it to return, and holds nobody up.
            pending = self._events.pending(room, datasets=self._definitions)
            self._start(pending)
            return len(pending)

    def _start(self, pending: Sequence[RecordedEvent]) -> None:
        # Each step may be repeated after a crash: the notes are harmless, and a name stands for its version.
        starts: dict[int, Start] = {}
        for recorded in pending:
            version, dataset = recorded.event.object, recorded.dataset
            name = execution_name(dataset, version, recorded.replay)
            definition, labels = self._definitions[dataset], {"dataset": dataset, "key": version.key}
            starts[recorded.number] = Start(name, definition, recorded.event.to_eventbridge(), labels)
        if not starts:
            return
        self._catalog.note_all_changed((one.labels["dataset"], Zone.RAW, one.labels["key"]) for one in starts.values())
        self._journal.start_missing(starts.values())
        self._events.mark_all_started({number: start.name for number, start in starts.items()})
        # Asked after the note: an execution that ended before it told nobody who could know of the event.
        self.ended(self._journal.ended(start.name for start in starts.values()))

    def changed(self, change: Change) -> None:
        """What the journal tells after each step; an execution that ended is noted by `run`, and makes room."""
        if change.ended:
            self._ended.append(change.name)
            self._woken.set()

    def run(self, stop: threading.Event) -> None:
        """Note the ends that `changed` was told of, and start what waits, until `stop` is set and all is noted."""
        while not stop.is_set() or self._ended:
            self._woken.wait()
            self._woken.clear()
            try:
                self._note_ends()
            except TransientError as error:
                log.error("ends of executions could not be noted, trying again: %s", error)
                if stop.wait(RETRY_SECONDS):
                    return  # the next process asks the journal
                self._woken.set()

    def wake(self) -> None:
        """Let `run` look now whether it is to stop."""
        self._woken.set()

    def _note_ends(self) -> None:
        names = list(self._ended)
        if names:
            self.ended(self._journal.ended(dict.fromkeys(names)))
            self._room_made = True
            for _ in names:
                self._ended.popleft()
        if self._room_made:  # also where the disk refused it the last time
            self.dispatch()
            self._room_made = False

    def ended(self, executions: Sequence[Execution]) -> None:
        """Note the ends of executions, and tell people where the workflow itself could not."""
        if not executions:
            return
        for execution in executions:
            if execution.status != "SUCCEEDED" and not self._was_told(execution.name):
                self._tell_failure(execution)
        self._events.mark_all_finished({execution.name: execution.status for execution in executions})
        for execution in executions:
            for listener in self._listeners:
                listener(execution)

    def _was_told(self, name: str) -> bool:
        """Whether the last thing the workflow did before its end was to publish."""
        try:
            newest = self._journal.history(name, limit=5, newest_first=True)
        except ExecutionNotFound:
            return True  # forgotten since, with its object
        return any(event.get("taskSucceededEventDetails", {}).get("resourceType") == "sns" for event in newest)

    def _tell_failure(self, execution: Execution) -> None:
        """A failure that no state of the workflow can catch: a time-out, a stop, a fault of the document itself."""
        environment, dataset = self._config.environment, execution.labels.get("dataset", "")
        self._notifier.publish(
            topic_arn(environment),
            f"[{environment}] {dataset}: an execution ended as {execution.status}",
            f"s3://{self._config.raw_bucket}/{execution.labels.get('key', '')}\n"
            f"{execution.error or execution.status}: {execution.cause or ''}\nExecution: {execution.name}\n"
            f"Once it is mended: {redrive_command(environment)} {execution.name}",
            token=f"{execution.name}/ended/{execution.redrives}",
            attributes={"outcome": "failure", "dataset": dataset, "execution": execution.name},
        )

    def recover(self) -> None:
        """After a crash: note the ends that the event store has not heard of, then start what waits."""
        self.ended(self._journal.ended(self._events.started()))
        self.dispatch()
