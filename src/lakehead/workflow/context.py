"""The context object, `$$` and `$states.context`."""

from __future__ import annotations

from typing import Any

from lakehead.model import Json


def context_object(state: dict[str, Any], frame: dict[str, Any], *, counts_retries: bool) -> dict[str, Json]:
    """What an expression of this frame's current state sees. `Map` and `Task` are there only where they apply."""
    info = state["info"]
    execution: dict[str, Json] = {
        "Id": info["id"],
        "Input": state["input"],
        "StartTime": info["start_time"],
        "Name": info["name"],
        "RoleArn": info["role_arn"],
        "RedriveCount": state["redrives"],
    }
    child = _isolated(state, frame)
    if child is not None:
        execution.update(Input=child["isolated"], Id=f"{info['id']}/{child['id']}", Name=child["id"])
    if "redriven" in state:
        execution["RedriveTime"] = state["redriven"]
    current: dict[str, Json] = {"EnteredTime": frame.get("entered_time"), "Name": frame.get("state")}
    if counts_retries:
        current["RetryCount"] = frame.get("retry_count", 0)
    found: dict[str, Json] = {
        "Execution": execution,
        "StateMachine": {"Id": info["state_machine_id"], "Name": info["state_machine_name"]},
        "State": current,
    }
    item = _item(state, frame)
    if item is not None:
        found["Map"] = {"Item": item}
    if "task_token" in frame:
        found["Task"] = {"Token": frame["task_token"]}
    return found


def _isolated(state: dict[str, Any], frame: dict[str, Any]) -> dict[str, Any] | None:
    """The iteration of a distributed Map that the frame is in: an execution of its own. `isolated` is its input."""
    current: dict[str, Any] | None = frame
    while current is not None and "isolated" not in current:
        current = state["frames"].get(current.get("parent"))
    return current


def _item(state: dict[str, Any], frame: dict[str, Any]) -> Json:
    """The item of the innermost iteration that the frame is in."""
    current: dict[str, Any] | None = frame
    while current is not None:
        if "item" in current:
            return current["item"]
        current = state["frames"].get(current.get("parent"))
    return None
