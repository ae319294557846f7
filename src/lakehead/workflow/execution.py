"""What the journal tells of an execution."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lakehead.model import Json

RUNNING = "RUNNING"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

COLUMNS = (
    "executions.number, executions.name, machine, definition, executions.status, input, output, error, cause, labels,"
    " executions.created, (SELECT updated FROM states WHERE execution = number), ended, redrives"
)
"""What `Execution.of_row` reads from `executions`, in its order."""


def micros(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(stamp: int) -> datetime:
    """The instant of `micros`, in UTC."""
    return _EPOCH + timedelta(microseconds=stamp)


def position(number: int, event: int) -> int:
    """Where the history keeps a step: the execution's number and the id of the step's last event in one integer.

    So an execution's steps lie side by side in one tree. Ids end at 25,000, the limit of Step Functions.
    """
    return number << 20 | event


def encode(value: Json) -> str:
    """JSON for the journal: ASCII, because a lone surrogate is a JSON string but no UTF-8. Raises ValueError on NaN."""
    return _encoder(value)


def canonical(value: Json) -> str:
    """JSON that is the same for equal values."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution. `status`: RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED. Times are in UTC.

    `definition` is the hash of its document, `number` counts executions in the order in which they were started.
    """

    number: int
    name: str
    state_machine: str
    definition: str
    status: str
    input: Json
    output: Json
    error: str | None
    cause: str | None
    labels: Mapping[str, str]
    started: datetime
    updated: datetime
    ended: datetime | None
    redrives: int

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self.status == RUNNING

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Execution:
        """From a row of COLUMNS."""
        (
            number,
            name,
            machine,
            definition,
            status,
            given,
            output,
            error,
            cause,
            labels,
            created,
            updated,
            ended,
            redrives,
        ) = row
        return cls(
            number=number,
            name=name,
            state_machine=machine,
            definition=definition,
            status=status,
            input=json.loads(given),
            output=None if output is None else json.loads(output),
            error=error,
            cause=cause,
            labels=json.loads(labels),
            started=moment(created),
            updated=moment(updated or ended or created),
            ended=None if ended is None else moment(ended),
            redrives=redrives,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction did to an execution: how it stands now, and the states it entered, in order."""

    name: str
    status: str
    entered: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """True where the execution ended with this change."""
        return self.status != RUNNING
