"""What has to be loaded or run again, decided in one place, whether somebody waits for it or not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.errors import NotFound, NotRedrivable
from lakehead.events import EventStore, RecordedEvent
from lakehead.landing import datasets_named
from lakehead.pipeline import execution_name
from lakehead.storage import layout
from lakehead.workflow.journal import Journal


def request_replay(
    config: LakeConfig,
    contracts: Mapping[str, Contract],
    events: EventStore,
    *,
    dataset: str | None = None,
    key: str | None = None,
    prefix: str | None = None,
    date: date | None = None,
) -> int:
    """Make the chosen objects pending again, and return how many; those that wait or run are left to that.

    Raises NotFound for a dataset or a key that the lake does not have.
    """
    chosen = 0
    for name in datasets_named(contracts, dataset):
        begin = layout.raw_prefix(name, date) if date else prefix
        chosen += len(events.requeue(bucket=config.raw_bucket, dataset=name, key=key, prefix=begin))
    if key and not chosen and not _is_open(events.newest(config.raw_bucket, key)):
        raise NotFound("no such object in the raw zone", bucket=config.raw_bucket, key=key)
    return chosen


def request_redrive(config: LakeConfig, events: EventStore, journal: Journal, name: str) -> str:
    """Have a failed execution run again, and return the name of the execution that does.

    It goes on where it failed, timed out or was stopped. One that ended in a Fail state, where the shipped workflow
    ends every failure that it told, would only enter that again: then a new execution loads the object. Raises
    ExecutionNotFound, NotRedrivable, and NotFound where the object is gone.
    """
    execution = journal.describe(name)
    if execution.running or execution.status == "SUCCEEDED":
        hint = "Only one that failed can be redriven."
        raise NotRedrivable(f"the execution is {execution.status}", hint=hint, name=name)
    newest = journal.history(name, limit=2, newest_first=True)
    if not any(event["type"] == "FailStateEntered" for event in newest):
        return journal.redrive(name).name
    dataset, key = execution.labels["dataset"], execution.labels["key"]
    events.mark_finished(name, execution.status)  # whoever works for the lake may not have come to it yet
    events.requeue(bucket=config.raw_bucket, dataset=dataset, key=key)
    event = events.newest(config.raw_bucket, key)
    if event is None or not _is_open(event):
        raise NotFound("no such object in the raw zone", bucket=config.raw_bucket, key=key)
    return event.execution or execution_name(event.dataset, event.event.object, event.replay)


def _is_open(event: RecordedEvent | None) -> bool:
    """Whether an object waits for an execution or has one under way."""
    return event is not None and event.state in ("pending", "started")
