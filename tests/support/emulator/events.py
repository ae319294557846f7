"""EventBridge's part: a rule's target is started by the target's role, and an event names the object's version."""

from __future__ import annotations

import contextvars
import inspect
import json
import logging
import threading
from typing import Any

from botocore.exceptions import ClientError
from ministack.services import eventbridge, s3

from support.emulator import authority

log = logging.getLogger("emulator.events")

_role: contextvars.ContextVar[str] = contextvars.ContextVar("target_role", default="")
_versions: dict[tuple[str, str, str], str] = {}


def install() -> None:
    """Start state machines by StartExecution, as the target's role."""
    invoke, fire = eventbridge._invoke_target, s3._fire_s3_event
    parameters = inspect.signature(fire)

    def invoke_target(target: dict[str, Any], *rest: Any, **more: Any) -> Any:
        _role.set(target.get("RoleArn", ""))
        return invoke(target, *rest, **more)

    def fire_s3_event(*given: Any, **more: Any) -> Any:
        told = parameters.bind(*given, **more).arguments
        if told.get("version_id"):
            _versions[told["bucket_name"], told["key"], str(told.get("sequencer"))] = told["version_id"]
        return fire(*given, **more)

    eventbridge._invoke_target, s3._fire_s3_event = invoke_target, fire_s3_event
    eventbridge._dispatch_to_stepfunctions = dispatch


def dispatch(arn: str, payload: str) -> None:
    """Start an execution, from a thread of its own: EventBridge delivers later, and calls must not wait for it."""
    role, event = _role.get(), versioned(json.loads(payload))

    def start() -> None:
        try:
            authority.client("stepfunctions", role).start_execution(stateMachineArn=arn, input=json.dumps(event))
        except ClientError:
            log.exception("no execution was started for %s", event.get("id"))

    threading.Thread(target=start, daemon=True).start()


def versioned(event: dict[str, Any]) -> dict[str, Any]:
    """The event with the version-id that AWS gives for a bucket with versions."""
    landed = event.get("detail", {}).get("object", {})
    bucket = event.get("detail", {}).get("bucket", {}).get("name")
    version = _versions.get((bucket, landed.get("key"), landed.get("sequencer")))
    if version:
        landed["version-id"] = version
    return event
