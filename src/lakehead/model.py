"""The vocabulary every room speaks: objects, their versions, and the event that one landed."""

from __future__ import annotations

import hashlib
import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from lakehead.errors import UsageError

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list or dict of them."""


REPLAY = "Replay"
"""The reason of an event that loads a version again."""


class Zone(StrEnum):
    """Where in the lake an object is."""

    RAW = "raw"
    PROCESSED = "processed"


def utc_now() -> datetime:
    """Now, in UTC, with a zone."""
    return datetime.now(UTC)


class SteadyClock:
    """Tells the time in UTC and never goes back: where the machine's clock is set back, it goes on from where it was.

    So whoever waits for a moment waits no longer, and of two moments the later one is later. It follows a clock that is
    set forward, and the machine's clock again once that has caught up. Safe between threads.
    """

    def __init__(
        self, *, wall: Callable[[], datetime] = utc_now, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._elapsed = wall, elapsed
        self._lock = threading.Lock()
        self._last, self._tick = wall(), elapsed()

    def __call__(self) -> datetime:
        """Now."""
        with self._lock:
            return self._now()

    def not_before(self, *moments: datetime | None) -> None:
        """From now on tell no time before these: something was noted then, by a clock that was set back since."""
        with self._lock:
            self._last = max([self._now(), *(moment for moment in moments if moment is not None)])

    def _now(self) -> datetime:
        tick = self._elapsed()
        steady = self._last + timedelta(seconds=tick - self._tick)
        self._last, self._tick = max(self._wall(), steady), tick
        return self._last


def iso(moment: datetime) -> str:
    """An instant as AWS writes it, `2025-01-03T08:01:25.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def object_id(key: str) -> str:
    """The object's identity in names that Lakehead makes: SHA-256 of the key, in hex (64 characters)."""
    return hashlib.sha256(key.encode()).hexdigest()


_SEQUENCER = re.compile(r"[0-9A-Fa-f]+")


def sequencer_order(sequencer: str | None) -> int:
    """A sequencer as a number, so that the newer of two versions of one key is the greater.

    Sequencers are hexadecimal and may differ in length (S3 Event Notifications, "sequencer"). None orders first.
    """
    if not sequencer:
        return -1
    if not _SEQUENCER.fullmatch(sequencer):  # int() also takes signs, spaces, underscores and 0x
        raise UsageError("a sequencer is a hexadecimal number", received=sequencer)
    return int(sequencer, 16)


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of one object. `etag` identifies its bytes; `sequencer` orders versions of one key."""

    bucket: str
    key: str
    etag: str = ""
    size: int = 0
    sequencer: str = ""
    version_id: str = ""

    @property
    def id(self) -> str:
        """SHA-256 of the key; the same for every version."""
        return object_id(self.key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """An EventBridge "Object Created" event of source `aws.s3`."""

    object: ObjectVersion
    id: str
    time: datetime
    region: str = "local"
    account: str = "000000000000"
    reason: str = "PutObject"

    @classmethod
    def of(cls, version: ObjectVersion, *, time: datetime | None = None) -> ObjectCreated:
        """The event for a version that was found in a raw zone. The same version always gets the same id."""
        identity = f"{version.bucket}/{version.key}#{version.sequencer}#{version.etag}"
        return cls(version, str(uuid.uuid5(uuid.NAMESPACE_URL, identity)), time or utc_now())

    @classmethod
    def from_eventbridge(cls, event: Json) -> ObjectCreated:
        """Decode an EventBridge event. The key is taken as it is: EventBridge does not URL-encode it.

        Raises UsageError naming the field that is missing or wrong. `etag`, `size`, `sequencer`, `version-id` and
        `reason` are optional (S3 User Guide, "EventBridge event message structure").
        """
        try:
            if event["source"] != "aws.s3" or event["detail-type"] != "Object Created":
                raise UsageError("not an S3 Object Created event", received=f"{event['source']} {event['detail-type']}")
            detail, found = event["detail"], event["detail"]["object"]
            bucket, key = detail["bucket"]["name"], found["key"]
            if not (isinstance(bucket, str) and bucket and isinstance(key, str) and key):
                raise UsageError("an event names its bucket and key as text")
            sequencer = str(found.get("sequencer") or "")
            sequencer_order(sequencer)
            version = ObjectVersion(
                bucket,
                key,
                etag=str(found.get("etag") or ""),
                size=int(found.get("size") or 0),
                sequencer=sequencer,
                version_id=str(found.get("version-id") or ""),
            )
            time = datetime.fromisoformat(event["time"])
            if time.tzinfo is None:
                raise UsageError("an event's time has a zone", received=event["time"])
            reason = str(detail.get("reason") or "PutObject")
            region, account = str(event.get("region") or ""), str(event.get("account") or "")
            return cls(version, str(event["id"]), time.astimezone(UTC), region, account, reason)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UsageError(f"not an EventBridge event: {type(error).__name__} {error}") from error

    def to_eventbridge(self) -> dict[str, Json]:
        """The event as EventBridge delivers it."""
        found: dict[str, Json] = {"key": self.object.key, "size": self.object.size}
        for name, value in (
            ("etag", self.object.etag),
            ("version-id", self.object.version_id),
            ("sequencer", self.object.sequencer),
        ):
            if value:
                found[name] = value
        return {
            "version": "0",
            "id": self.id,
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": self.account,
            "time": self.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region,
            "resources": [f"arn:aws:s3:::{self.object.bucket}"],
            "detail": {
                "version": "0",
                "bucket": {"name": self.object.bucket},
                "object": found,
                "reason": self.reason,
            },
        }
