"""Which Retry and Catch entries an error matches, and how long a retry waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lakehead.workflow.expressions import Expression

ALL = "States.ALL"
ERROR_NAMES = frozenset(
    f"States.{name}"
    for name in (
        "ALL", "BranchFailed", "DataLimitExceeded", "ExceedToleratedFailureThreshold", "HeartbeatTimeout",
        "Http.Socket", "IntrinsicFailure", "ItemReaderFailed", "NoChoiceMatched", "ParameterPathFailure", "Permissions",
        "QueryEvaluationError", "ResultPathMatchFailure", "ResultWriterFailed", "Runtime", "TaskFailed", "Timeout",
    )
)  # fmt: skip
"""The reserved names (ASL specification, "Appendix A: Predefined Error Codes", and those that Step Functions adds)."""
MAX_DELAY = 31_622_400
"""AWS: MaxDelaySeconds is less than 31622400 (366 days)."""


@dataclass(frozen=True, slots=True)
class Retrier:
    """One entry of Retry, with the defaults of the ASL specification."""

    errors: frozenset[str]
    interval: float = 1
    attempts: int = 3
    backoff: float = 2.0
    max_delay: float | None = None
    jitter: bool = False


@dataclass(frozen=True, slots=True)
class Catcher:
    """One entry of Catch. `result_keys` None discards the error; `output` and `assign` are computed if given."""

    errors: frozenset[str]
    next: str
    result_keys: tuple[str | int, ...] | None = ()
    result_text: str = "$"
    output: Expression | None = None
    assign: Expression | None = None


def matches(errors: frozenset[str], error: str | None) -> bool:
    """Whether an ErrorEquals list takes this error.

    States.Runtime is taken by nothing. States.TaskFailed takes all but States.Timeout, which takes a missed heartbeat
    too (Step Functions Developer Guide, "Handling errors").
    """
    if error == "States.Runtime":
        return False
    if ALL in errors or error in errors:
        return True
    if "States.Timeout" in errors and error == "States.HeartbeatTimeout":
        return True
    return "States.TaskFailed" in errors and error != "States.Timeout"


def delay(retrier: Retrier, attempt: int, fraction: Callable[[], float]) -> float:
    """Seconds before retry number `attempt` (1 is the first). `fraction` draws from [0, 1) for JitterStrategy FULL."""
    limit = MAX_DELAY if retrier.max_delay is None else retrier.max_delay
    try:
        seconds = min(retrier.interval * retrier.backoff ** (attempt - 1), limit)
    except OverflowError:
        seconds = limit
    return seconds * fraction() if retrier.jitter else seconds
