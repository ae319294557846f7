"""The durable outbox: notifications, and one delivery per subscription that is owed one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lakehead.errors import NotFound
from lakehead.model import Json, iso
from lakehead.notify import message as wire
from lakehead.sqlite import Database

PENDING, SENT, DEAD = "pending", "sent", "dead"

SET_BACK_SECONDS = 60.0
"""The clocks of two processes differ by less, unless one was set back."""

MIGRATIONS = (
    (
        """CREATE TABLE notifications (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            message_id TEXT NOT NULL UNIQUE,
            token TEXT NOT NULL UNIQUE,
            topic TEXT NOT NULL,
            subject TEXT NOT NULL,
            body TEXT NOT NULL,
            attributes TEXT NOT NULL,
            published_at TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE deliveries (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            notification INTEGER NOT NULL REFERENCES notifications (number),
            subscription TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'dead')),
            attempts INTEGER NOT NULL DEFAULT 0,
            due_at REAL NOT NULL,
            claimed_until REAL NOT NULL DEFAULT 0,
            last_error TEXT NOT NULL DEFAULT '',
            changed_at TEXT NOT NULL,
            UNIQUE (notification, subscription)
        ) STRICT""",
        "CREATE INDEX deliveries_due ON deliveries (subscription, due_at) WHERE state = 'pending'",
    ),
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far a notification got with one subscription. `due_at` is when it is tried next, if it is pending."""

    number: int
    subscription: str
    state: str
    attempts: int
    due_at: datetime
    last_error: str


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One notification of the console feed, with its deliveries."""

    number: int
    message_id: str
    topic: str
    subject: str
    message: str
    attributes: Mapping[str, str]
    time: datetime
    deliveries: tuple[Delivery, ...]

    def to_json(self) -> dict[str, Json]:
        """For `--output json` and the web console."""
        return {
            "number": self.number,
            "message_id": self.message_id,
            "topic": self.topic,
            "subject": self.subject,
            "message": self.message,
            "attributes": dict(self.attributes),
            "time": iso(self.time),
            "deliveries": [
                {
                    "number": one.number,
                    "subscription": one.subscription,
                    "state": one.state,
                    "attempts": one.attempts,
                    "due_at": iso(one.due_at) if one.state == PENDING else None,
                    "last_error": one.last_error,
                }
                for one in self.deliveries
            ],
        }


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this process may attempt until its claim runs out. `attempt` counts from 1."""

    number: int
    attempt: int
    message: wire.Message


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published on a topic, and to which subscriptions it is owed. The same token is published once."""

    topic: str
    subject: str
    body: str
    token: str
    attributes: Mapping[str, str]
    subscriptions: Sequence[str] = ()


class Outbox:
    """Notifications and deliveries in SQLite. Times are UTC; every method is one transaction."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, MIGRATIONS)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def add(self, publications: Iterable[Publication], now: datetime) -> list[tuple[str, bool]]:
        """Store notifications and what is owed of them; a token that is known adds nothing. Returns (id, added)."""
        with self._database.transaction() as connection:
            return [(wire.message_id(one.token), _insert(connection, one, now)) for one in publications]

    def version(self) -> int:
        """A number that changes when another process has written."""
        return self._database.version()

    def claim(self, subscription: str, now: datetime, *, seconds: float, longest: float) -> Claim | None:
        """Take the subscription's next due delivery for some seconds, and count the attempt.

        A process that dies meanwhile leaves the claim behind; when it has run out, the delivery is due again. Nothing
        is put off for more than `longest` seconds, and claimed for more than `seconds`: a moment further ahead was
        noted by a clock that was set back since, and holds nobody up.
        """
        stamp = now.timestamp()
        put_off, held = stamp + longest + SET_BACK_SECONDS, stamp + seconds + SET_BACK_SECONDS
        with self._database.transaction() as connection:
            row = connection.execute(
                "UPDATE deliveries SET attempts = attempts + 1, claimed_until = ?, changed_at = ? WHERE number ="
                " (SELECT number FROM deliveries WHERE state = 'pending' AND subscription = ?"
                "  AND (due_at <= ? OR due_at > ?) AND (claimed_until <= ? OR claimed_until > ?)"
                "  ORDER BY due_at, number LIMIT 1) RETURNING number, notification, attempts",
                (stamp + seconds, iso(now), subscription, stamp, put_off, stamp, held),
            ).fetchone()
            if row is None:
                return None
            found = connection.execute(
                "SELECT * FROM notifications WHERE number = ?", (row["notification"],)
            ).fetchone()
        return Claim(row["number"], row["attempts"], _message(found, subscription))

    def sent(self, number: int, now: datetime) -> None:
        """The channel took it."""
        self._settle(number, SENT, now, due=now.timestamp(), error="")

    def failed(self, number: int, now: datetime, *, error: str, again_in: float | None) -> None:
        """An attempt failed: try again in some seconds, or give up when that is None."""
        state = PENDING if again_in is not None else DEAD
        self._settle(number, state, now, due=now.timestamp() + (again_in or 0), error=error)

    def _settle(self, number: int, state: str, now: datetime, *, due: float, error: str) -> None:
        # A delivery that was sent stays sent, whatever a slower attempt reports.
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET state = ?, due_at = ?, claimed_until = 0, last_error = ?, changed_at = ?"
                " WHERE number = ? AND state <> 'sent'",
                (state, due, error, iso(now), number),
            )

    def next_due(self, subscriptions: Sequence[str]) -> float | None:
        """When (seconds since the epoch) the next of these subscriptions' deliveries is due; None without any."""
        marks = ", ".join("?" * len(subscriptions))
        row = self._database.rows(
            "SELECT min(max(due_at, claimed_until)) FROM deliveries"
            f" WHERE state = 'pending' AND subscription IN ({marks})",
            tuple(subscriptions),
        )[0]
        return None if row[0] is None else float(row[0])

    def drop_unknown(self, known: Sequence[str], now: datetime) -> int:
        """Give up what is owed to subscriptions that are no longer configured. Returns how many deliveries."""
        marks = ", ".join("?" * len(known))
        with self._database.transaction() as connection:
            return connection.execute(
                "UPDATE deliveries SET state = 'dead', last_error = 'the subscription is no longer configured',"
                f" changed_at = ? WHERE state = 'pending' AND subscription NOT IN ({marks})",
                (iso(now), *known),
            ).rowcount

    def retry(self, number: int | None, known: Sequence[str], now: datetime) -> int:
        """Make one dead delivery, or all of them, due again with fresh attempts. Raises NotFound for a wrong number.

        Only what is owed to the `known` subscriptions, those that are configured. Where all are meant, what waits for
        its next attempt is due now, too. Returns how many were dead.
        """
        marks = ", ".join("?" * len(known))
        with self._database.transaction() as connection:
            if number is None:
                connection.execute("UPDATE deliveries SET due_at = ? WHERE state = 'pending'", (now.timestamp(),))
            changed = connection.execute(
                "UPDATE deliveries SET state = 'pending', attempts = 0, due_at = ?, claimed_until = 0, changed_at = ?"
                f" WHERE state = 'dead' AND (? IS NULL OR number = ?) AND subscription IN ({marks})",
                (now.timestamp(), iso(now), number, number, *known),
            ).rowcount
        if number is not None and not changed:
            message = "no dead delivery to a subscription that is configured has this number"
            raise NotFound(message, hint="The feed shows them.", received=number)
        return changed

    def forget(self, attribute: str, values: Collection[str]) -> int:
        """Delete the notifications whose attribute has one of these values, sent or not. Returns how many."""
        with self._database.transaction() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            found = connection.execute("SELECT number, attributes FROM notifications").fetchall()
            numbers = [(row["number"],) for row in found if json.loads(row["attributes"]).get(attribute) in values]
            connection.executemany("DELETE FROM deliveries WHERE notification = ?", numbers)
            connection.executemany("DELETE FROM notifications WHERE number = ?", numbers)
            return len(numbers)

    def counts(self, known: Sequence[str]) -> dict[str, int]:
        """Deliveries to these subscriptions by state."""
        marks = ", ".join("?" * len(known))
        sql = f"SELECT state, count(*) FROM deliveries WHERE subscription IN ({marks}) GROUP BY state"
        found = {row[0]: row[1] for row in self._database.rows(sql, known)}
        return {state: found.get(state, 0) for state in (PENDING, SENT, DEAD)}

    def feed(self, limit: int, before: int | None) -> list[FeedItem]:
        """The newest notifications first, those with a number below `before`."""
        found = self._database.rows(
            "SELECT * FROM notifications WHERE ? IS NULL OR number < ? ORDER BY number DESC LIMIT ?",
            (before, before, limit),
        )
        owed: dict[int, list[Delivery]] = {row["number"]: [] for row in found}
        if found:
            for row in self._database.rows(
                "SELECT * FROM deliveries WHERE notification BETWEEN ? AND ? ORDER BY number",
                (found[-1]["number"], found[0]["number"]),
            ):
                owed[row["notification"]].append(_delivery(row))
        return [_item(row, tuple(owed[row["number"]])) for row in found]


def _insert(connection: sqlite3.Connection, one: Publication, now: datetime) -> bool:
    attributes = json.dumps(dict(one.attributes))
    added = connection.execute(
        "INSERT INTO notifications (message_id, token, topic, subject, body, attributes, published_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (token) DO NOTHING RETURNING number",
        (wire.message_id(one.token), one.token, one.topic, one.subject, one.body, attributes, iso(now)),
    ).fetchone()
    if added is None:
        return False
    connection.executemany(
        "INSERT INTO deliveries (notification, subscription, state, due_at, changed_at) VALUES (?, ?, 'pending', ?, ?)",
        [(added[0], name, now.timestamp(), iso(now)) for name in one.subscriptions],
    )
    return True


def _message(row: sqlite3.Row, subscription: str) -> wire.Message:
    return wire.Message(
        id=row["message_id"],
        topic=row["topic"],
        subject=row["subject"],
        body=row["body"],
        attributes=json.loads(row["attributes"]),
        time=datetime.fromisoformat(row["published_at"]),
        delivery_id=wire.delivery_id(row["message_id"], subscription),
    )


def _delivery(row: sqlite3.Row) -> Delivery:
    due = datetime.fromtimestamp(row["due_at"], UTC)
    return Delivery(row["number"], row["subscription"], row["state"], row["attempts"], due, row["last_error"])


def _item(row: sqlite3.Row, deliveries: tuple[Delivery, ...]) -> FeedItem:
    return FeedItem(
        number=row["number"],
        message_id=row["message_id"],
        topic=row["topic"],
        subject=row["subject"],
        message=row["body"],
        attributes=json.loads(row["attributes"]),
        time=datetime.fromisoformat(row["published_at"]),
        deliveries=deliveries,
    )
