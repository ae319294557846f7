"""What the states do that neither call anything nor hold other machines: Pass, Choice, Wait, Succeed, Fail."""

from __future__ import annotations

from datetime import datetime, timedelta

from lakehead.model import Json
from lakehead.workflow import payload
from lakehead.workflow.choice import is_whole
from lakehead.workflow.engine import Frame, Run
from lakehead.workflow.expressions import Expression, QueryFault, RuntimeFault, Scope, StateError
from lakehead.workflow.functions import compact
from lakehead.workflow.states import ChoiceState, FailState, PassState, SucceedState, WaitState
from lakehead.workflow.timestamps import instant

MAX_WAIT_SECONDS = 99_999_999


def pass_state(run: Run, frame: Frame, state: PassState) -> None:
    """Give the Result, or what Parameters make of the input."""
    scope = run.scope(frame, state)
    if state.result is not None:
        result = state.result[0]
    elif state.jsonata:
        result = scope.data
    else:
        result = payload.arguments(state, payload.selected(state, scope))
    run.leave(frame, state, payload.finish(state, scope, result), state.next)


def succeed_state(run: Run, frame: Frame, state: SucceedState) -> None:
    """End the machine with the input."""
    run.leave(frame, state, payload.passed(state, run.scope(frame, state)), None)


def fail_state(run: Run, frame: Frame, state: FailState) -> None:
    """End the machine with an error. What ErrorPath and CausePath find has to be text."""
    scope = run.scope(frame, state)
    error = _text("Error", state, state.error, scope)
    cause = _text("Cause", state, state.cause, scope)
    raise StateError(error, cause)


def _text(field: str, state: FailState, expression: Expression | None, scope: Scope) -> str | None:
    if expression is None:
        return None
    value = expression(scope)
    if not isinstance(value, str):
        cause = f"The {field} of a Fail state must be a string, but was: {compact(value)[:200]}"
        raise QueryFault(cause, field) if state.jsonata else RuntimeFault(cause)
    return value


def choice_state(run: Run, frame: Frame, state: ChoiceState) -> None:
    """Follow the first rule that holds, else Default."""
    scope = run.scope(frame, state)
    inner = payload.selected(state, scope)
    for rule in state.rules:
        if rule.condition(inner):
            run.leave(frame, state, payload.chosen(state, rule, scope), rule.next)
            return
    if state.default is None:
        cause = "Failed to transition out of the state. No choice rule matched, and there is no Default."
        raise StateError("States.NoChoiceMatched", cause, placed=False)
    run.leave(frame, state, payload.passed(state, scope), state.default)


def wait_state(run: Run, frame: Frame, state: WaitState) -> None:
    """Wait for a time span or until an instant; what is due already does not wait."""
    scope = run.scope(frame, state)
    due = _due(run.now, state, payload.selected(state, scope))
    if due <= run.now:
        run.leave(frame, state, payload.passed(state, scope), state.next)
    else:
        run.wait_for_timer(frame, due, "wait")


def _due(now: datetime, state: WaitState, scope: Scope) -> datetime:
    if state.seconds is not None:
        return now + timedelta(seconds=_seconds(state, state.seconds(scope)))
    value = state.timestamp(scope) if state.timestamp else None
    moment = instant(value)
    if moment is None:
        raise _wrong(state, "ISO-8601 extended offset date-time format string", value)
    return moment


def _seconds(state: WaitState, value: Json) -> float:
    if not is_whole(value) or not 0 <= value <= MAX_WAIT_SECONDS:
        raise _wrong(state, f"whole number from 0 to {MAX_WAIT_SECONDS}", value)
    return float(value)


def _wrong(state: WaitState, wanted: str, value: Json) -> StateError:
    shown = value if isinstance(value, str) else compact(value)
    if state.jsonata:
        article = "an" if wanted.startswith("I") else "a"
        return QueryFault(f"The {state.field} field cannot be parsed as {article} {wanted}: {shown}", state.field)
    return RuntimeFault(f"The {state.field} parameter does not reference a valid {wanted}: {state.text} == {shown}")
