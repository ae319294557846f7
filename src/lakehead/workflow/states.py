"""The compiled form of a definition: machines of states, each with its expressions ready to be evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from lakehead.model import Json
from lakehead.workflow.choice import Condition
from lakehead.workflow.expressions import Expression
from lakehead.workflow.retry import Catcher, Retrier


@dataclass(slots=True, kw_only=True)
class State:
    """What every state has. In JSONPath: `select` is InputPath, `arguments` Parameters, `output` OutputPath.

    In JSONata `arguments` is Arguments and `output` is Output. A field that is None changes nothing.
    `result_keys` is where ResultPath puts the result; None discards it.
    """

    name: str
    type: str
    jsonata: bool = False
    next: str | None = None
    select: Expression | None = None
    arguments: Expression | None = None
    result_selector: Expression | None = None
    result_keys: tuple[str | int, ...] | None = ()
    result_text: str = "$"
    output: Expression | None = None
    assign: Expression | None = None
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


@dataclass(slots=True, kw_only=True)
class PassState(State):
    """`result` is a one-tuple where the state has a Result, which may be null."""

    result: tuple[Json] | None = None


@dataclass(slots=True, kw_only=True)
class SucceedState(State):
    """Ends its machine."""


@dataclass(slots=True, kw_only=True)
class FailState(State):
    """Ends its machine with an error."""

    error: Expression | None = None
    cause: Expression | None = None


@dataclass(slots=True, kw_only=True)
class WaitState(State):
    """One of the two is given; `field` and `text` word the fault of a value that does not fit."""

    seconds: Expression | None = None
    timestamp: Expression | None = None
    field: str = ""
    text: str = ""


@dataclass(slots=True, kw_only=True)
class ChoiceRule:
    """One entry of Choices."""

    condition: Condition
    next: str
    assign: Expression | None = None
    output: Expression | None = None


@dataclass(slots=True, kw_only=True)
class ChoiceState(State):
    """The first rule that holds decides; `default` is where none holds."""

    rules: tuple[ChoiceRule, ...] = ()
    default: str | None = None


@dataclass(slots=True, kw_only=True)
class Number:
    """A numeric field that is given as it is, or by path or expression; `low` and `high` are its bounds."""

    field: str
    value: Expression
    text: str = ""
    kind: Literal["integer", "float"] = "integer"
    low: float = 0
    high: float = math.inf


@dataclass(slots=True, kw_only=True)
class TaskState(State):
    """Work for a handler. Timeouts may be constants or read from the input."""

    resource: str = ""
    timeout: Number | None = None
    heartbeat: Number | None = None
    credentials: Expression | None = None


@dataclass(slots=True, kw_only=True)
class ParallelState(State):
    """`branches` are keys into `Definition.machines`."""

    branches: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class MapState(State):
    """`processor` is a key into `Definition.machines`."""

    processor: str = ""
    distributed: bool = False
    items: Expression | None = None
    items_text: str = "$"
    selector: Expression | None = None
    concurrency: Number | None = None
    tolerated_count: Number | None = None
    tolerated_percentage: Number | None = None
    batch_items: Number | None = None
    batch_bytes: Number | None = None
    batch_input: Expression | None = None
    batched: bool = False


@dataclass(slots=True)
class Machine:
    """States, and which of them is first. `key` is the JSON path of the object that holds them."""

    key: str
    start_at: str
    states: dict[str, State] = field(default_factory=dict)


@dataclass(slots=True)
class Definition:
    """A loaded state machine. `machines["$"]` is the outermost; the others are branches and item processors."""

    document: dict[str, Json]
    machines: dict[str, Machine]
    timeout_seconds: float | None = None
    comment: str = ""


Report = Callable[[str, str], None]
"""Takes the JSON path of a fault and what is wrong there."""
