"""What is said to whom: a message within SNS's limits, and the subscriptions that it goes to."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lakehead.errors import ConfigError, UsageError
from lakehead.model import Json, iso

SUBJECT_CHARACTERS = 99
MESSAGE_BYTES = 262_144
"""SNS Publish: a Subject has fewer than 100 characters and no line break, a Message at most 262,144 bytes."""

OUTCOMES = ("all", "success", "failure")

_NAMESPACE = uuid.UUID("2d1a3a9e-6f0b-5c59-8e0c-4a9e5d1f7b60")
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who is told of which outcomes.

    `url` is an address or `env:NAME` for one that an environment variable holds; `${NAME}` inside an address works
    too. It is resolved when something is sent and never stored. `on` is all, success or failure: the message's
    attribute `outcome` decides. `topic` is "" for every topic. `timeout_seconds` bounds one attempt.
    """

    name: str
    url: str
    on: str = "all"
    topic: str = ""
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.name or not self.url:
            raise ConfigError("a subscription needs a name and an address", received=self.name)
        if self.on not in OUTCOMES:
            raise ConfigError(
                "a subscription is for all, success or failure", key=f"notify.{self.name}.on", received=self.on
            )
        if not self.timeout_seconds > 0:
            raise ConfigError("a subscription's timeout is above 0 seconds", key=f"notify.{self.name}")

    def wants(self, topic: str, attributes: Mapping[str, str]) -> bool:
        """Whether a message of this topic with these attributes goes here."""
        return self.topic in ("", topic) and self.on in ("all", attributes.get("outcome"))


@dataclass(frozen=True, slots=True)
class Message:
    """One message as one subscription gets it. `delivery_id` (a UUID) stays the same however often it is sent."""

    id: str
    topic: str
    subject: str
    body: str
    attributes: Mapping[str, str]
    time: datetime
    delivery_id: str

    def to_json(self) -> dict[str, Json]:
        """What a webhook receives. `text` is what chat services show."""
        return {
            "id": self.id,
            "topic": self.topic,
            "subject": self.subject,
            "message": self.body,
            "text": f"{self.subject}\n{self.body}",
            "attributes": dict(self.attributes),
            "time": iso(self.time),
        }


def message_id(token: str) -> str:
    """The id of what was published under a token: a UUID, the same every time."""
    return str(uuid.uuid5(_NAMESPACE, token))


def delivery_id(message: str, subscription: str) -> str:
    """The id of a message's delivery to one subscription: a UUID, the same for every attempt."""
    return str(uuid.uuid5(_NAMESPACE, f"{message}\n{subscription}"))


def fit_subject(subject: str) -> str:
    """A subject in one line of at most 99 characters; a longer one ends in `...`."""
    line = " ".join(_NOT_IN_A_LINE.sub(" ", printable(subject)).split())
    if len(line) <= SUBJECT_CHARACTERS:
        return line
    return line[: SUBJECT_CHARACTERS - 3].rstrip() + "..."


def fit_body(body: str) -> str:
    """A body of at most 262,144 bytes; a longer one ends by saying that it was cut. Raises UsageError when empty."""
    body = printable(body)
    if not body.strip():
        raise UsageError("a notification needs a message")
    data = body.encode()
    if len(data) <= MESSAGE_BYTES:
        return body
    note = f"\n[cut here: the whole message has {len(data):,} bytes]"
    return data[: MESSAGE_BYTES - len(note.encode())].decode(errors="ignore") + note


def printable(text: str) -> str:
    """Text that every channel can encode: a lone surrogate (from an odd file name) becomes `?`."""
    return text.encode(errors="replace").decode()
