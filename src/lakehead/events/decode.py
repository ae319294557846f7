"""One decoder per event source. Each turns what arrives into ObjectCreated, or says which field is wrong."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from lakehead.errors import UsageError
from lakehead.model import Json, ObjectCreated, ObjectVersion, sequencer_order


def decode(source: str | bytes | Json) -> list[ObjectCreated]:
    """Decode an event of any source that Lakehead knows, as JSON text or as its value.

    EventBridge delivers one event, an S3 notification (through SQS, SNS or Lambda) a list of `Records`. Raises
    UsageError naming the field that is missing or wrong.
    """
    event = _parsed(source)
    if "Records" in event:
        return from_notification(event)
    if event.get("Event") == "s3:TestEvent":
        return []  # S3 sends it once when notifications are set up
    return [from_eventbridge(event)]


def from_eventbridge(source: str | bytes | Json) -> ObjectCreated:
    """Decode an EventBridge "Object Created" event. Its key is not URL-encoded. Raises UsageError."""
    event = _parsed(source)
    for path in ("source", "detail-type", "id", "time", "detail.bucket.name", "detail.object.key"):
        _text(event, path)
    _optional_size(event, "detail.object.size")
    return ObjectCreated.from_eventbridge(event)


def from_notification(source: str | bytes | Json) -> list[ObjectCreated]:
    """Decode a classic S3 notification; records of other events than ObjectCreated are left out.

    Keys are URL-encoded as in a form: `+` is a space (S3 User Guide, "Event message structure"). Raises UsageError.
    """
    records = _parsed(source).get("Records")
    if not isinstance(records, list):
        raise UsageError("not an S3 notification", field="Records", expected="a list", received=_short(records))
    return [
        _from_record(record, f"Records[{number}].")
        for number, record in enumerate(records)
        if _text(record, "eventName", f"Records[{number}].").startswith("ObjectCreated:")
    ]


def _from_record(record: Json, where: str) -> ObjectCreated:
    bucket = _text(record, "s3.bucket.name", where)
    key = unquote_plus(_text(record, "s3.object.key", where))
    found = record["s3"]["object"]
    sequencer = str(found.get("sequencer") or "")
    _ordered(sequencer, where + "s3.object.sequencer")
    etag, version_id = str(found.get("eTag") or ""), str(found.get("versionId") or "")
    size = _optional_size(record, "s3.object.size", where)
    time = _time(_text(record, "eventTime", where), where + "eventTime")
    version = ObjectVersion(bucket, key, etag=etag, size=size, sequencer=sequencer, version_id=version_id)
    identity = f"{bucket}/{key}#{sequencer}#{version_id}#{etag}"
    return ObjectCreated(
        version,
        str(uuid.uuid5(uuid.NAMESPACE_URL, identity)),
        time,
        str(record.get("awsRegion") or "local"),
        reason=record["eventName"].partition(":")[2],
    )


def _parsed(source: str | bytes | Json) -> dict[str, Any]:
    event = source
    if isinstance(source, str | bytes):
        try:
            event = json.loads(source)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"an event is JSON: {error}", received=_short(source)) from error
    if not isinstance(event, dict):
        raise UsageError("an event is a JSON object", received=_short(event))
    return event


def _at(event: Json, path: str, where: str = "") -> Json:
    value = event
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise UsageError("an event misses a field", field=where + path)
        value = value[name]
    return value


def _text(event: Json, path: str, where: str = "") -> str:
    value = _at(event, path, where)
    if not isinstance(value, str) or not value:
        raise UsageError("an event's field is wrong", field=where + path, expected="text", received=_short(value))
    return value


def _optional_size(event: Json, path: str, where: str = "") -> int:
    parent, _, name = path.rpartition(".")
    value = _at(event, parent, where).get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(
            "an event's field is wrong", field=where + path, expected="a number of bytes", received=_short(value)
        )
    return value


def _ordered(sequencer: str, field: str) -> None:
    try:
        sequencer_order(sequencer)
    except UsageError as error:
        raise UsageError(error.message, field=field, received=_short(sequencer)) from error


def _time(text: str, field: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError("an event's field is wrong", field=field, expected="a time", received=_short(text)) from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
