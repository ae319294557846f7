"""History events as Step Functions records them (API reference, "HistoryEvent"). Inputs and outputs are JSON text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_WHOLE = {"truncated": False}


@lru_cache(maxsize=256)
def details_key(event_type: str) -> str:
    """The field of an event that holds its details, `taskScheduledEventDetails`."""
    if event_type.endswith("StateEntered"):
        return "stateEnteredEventDetails"
    if event_type.endswith("StateExited"):
        return "stateExitedEventDetails"
    return event_type[0].lower() + event_type[1:] + "EventDetails"


def entered_states(events: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The names of the states that events tell were entered, in order."""
    key = "stateEnteredEventDetails"
    return tuple(event[key]["name"] for event in events if key in event)


def entered(name: str, text: str) -> dict[str, Any]:
    """Details of StateEntered."""
    return {"name": name, "input": text, "inputDetails": _WHOLE}


def exited(name: str, text: str, assigned: dict[str, str] | None) -> dict[str, Any]:
    """Details of StateExited; `assigned` holds the variables that were set, as JSON text."""
    details: dict[str, Any] = {"name": name, "output": text, "outputDetails": _WHOLE}
    if assigned:
        details.update(assignedVariables=assigned, assignedVariablesDetails=_WHOLE)
    return details


def failure(error: str | None, cause: str | None) -> dict[str, Any]:
    """Details of a failure; what is not given is left out."""
    given = (("error", error), ("cause", cause))
    return {key: value for key, value in given if value is not None}


@dataclass(frozen=True, slots=True)
class Resource:
    """How a task's events are named: `LambdaFunctionScheduled`, `ActivityScheduled` or `TaskScheduled`."""

    arn: str
    prefix: str
    type: str = ""
    action: str = ""

    @property
    def waits_for_token(self) -> bool:
        """Whether the task ends when somebody reports with its token."""
        return self.action.endswith(".waitForTaskToken") or self.prefix == "Activity"

    @property
    def submits(self) -> bool:
        """Whether the task goes on after it was accepted."""
        return self.action.endswith((".sync", ".sync:2", ".waitForTaskToken"))

    @property
    def limit_name(self) -> str:
        """How AWS names the task in the cause of States.DataLimitExceeded."""
        return self.type or self.arn

    def _named(self, details: dict[str, Any]) -> dict[str, Any]:
        if self.prefix == "Task":
            return {"resource": self.action, "resourceType": self.type, **details}
        return details

    def scheduled(self, text: str, region: str, timeout: float | None, heartbeat: float | None,
                  credentials: Any) -> dict[str, Any]:  # fmt: skip
        """Details of Scheduled."""
        details: dict[str, Any] = {}
        if self.prefix == "Task":
            details.update(region=region, parameters=text)
        else:
            details.update(resource=self.arn, input=text, inputDetails=_WHOLE)
        if timeout is not None:
            details["timeoutInSeconds"] = timeout
        if heartbeat is not None:
            details["heartbeatInSeconds"] = heartbeat
        if credentials:
            role = credentials.get("RoleArn") if isinstance(credentials, dict) else None
            details["taskCredentials"] = {"roleArn": role}
        return self._named(details)

    def started(self) -> dict[str, Any]:
        """Details of Started and Submitted."""
        return self._named({})

    def succeeded(self, text: str) -> dict[str, Any]:
        """Details of Succeeded."""
        return self._named({"output": text, "outputDetails": _WHOLE})

    def failed(self, error: str | None, cause: str | None) -> dict[str, Any]:
        """Details of Failed and TimedOut."""
        return self._named(failure(error, cause))


@lru_cache(maxsize=1024)
def resource_of(arn: str) -> Resource:
    """Read a task's Resource."""
    parts = arn.split(":", 5)
    service, rest = (parts[2], parts[5]) if len(parts) == 6 else ("", arn)
    if service == "lambda":
        return Resource(arn, "LambdaFunction")
    if service == "states" and rest.startswith("activity:"):
        return Resource(arn, "Activity")
    kind, _, action = rest.rpartition(":")
    if action in ("2",):
        kind, _, action = rest.removesuffix(":2").rpartition(":")
        action += ":2"
    return Resource(arn, "Task", kind or service, action)
