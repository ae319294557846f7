"""Publishes into the durable outbox and carries out its deliveries, each subscription by itself."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from lakehead.errors import ConfigError, LakeheadError, NotificationError, TransientError
from lakehead.listeners import Listeners
from lakehead.model import SteadyClock
from lakehead.notify import secret
from lakehead.notify.channel import Channel, open_channel
from lakehead.notify.message import Message, Subscription, fit_body, fit_subject
from lakehead.notify.outbox import Claim, FeedItem, Outbox, Publication

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 12
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 900.0
"""Seconds between attempts: 2, 4, 8, ... at most 15 minutes, each shortened by up to half so that many do not meet."""

CLAIM_MARGIN = 5.0
"""Seconds that a claim outlasts an attempt's timeout."""

LONGEST_WAIT = 30.0
"""Seconds after which a waiting worker looks for what another process published or left behind."""


def pause_after(attempt: int, *, jitter: float) -> float:
    """Seconds to wait after this failed attempt (counted from 1). `jitter` is between 0 and 1."""
    whole = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt - 1, 20))
    return whole * (0.5 + 0.5 * jitter)


class Notifier:
    """Notifications of one lake: published once, delivered at least once, with a stable id per delivery.

    Safe from several threads and processes. `open` and `clock` are there for tests.
    """

    def __init__(
        self,
        path: Path,
        subscriptions: Sequence[Subscription] = (),
        *,
        max_attempts: int = MAX_ATTEMPTS,
        open: Callable[[Subscription], Channel] = open_channel,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        names = [subscription.name for subscription in subscriptions]
        if len(names) != len(set(names)):
            raise ConfigError("two subscriptions have the same name", received=", ".join(names))
        self._subscriptions = {subscription.name: subscription for subscription in subscriptions}
        self._max_attempts, self._open, self._clock = max_attempts, open, clock or SteadyClock()
        self._outbox = Outbox(path)
        self._changed = threading.Condition()
        self._generation, self._closed = 0, False
        self._listeners = Listeners[Mapping[str, str]]()
        self._locks = {name: threading.Lock() for name in names}
        self._hanging: dict[str, threading.Thread] = {}
        # It spreads retries and keeps no secret.
        self._random = random.Random()  # nosec B311

    def publish(
        self, topic: str, subject: str, message: str, *, token: str, attributes: Mapping[str, str] | None = None
    ) -> str:
        """Store a notification for everyone who subscribed, durably, and return its message id.

        The same token again returns the same id and adds nothing. A subject is cut to 99 characters in one line, a
        message to 262,144 bytes (SNS Publish). Raises UsageError for an empty message.
        """
        given = {name: str(value) for name, value in (attributes or {}).items()}
        (identity,) = self.publish_all([Publication(topic, subject, message, token, given)])
        return identity

    def publish_all(self, publications: Iterable[Publication]) -> list[str]:
        """The same for many, in one transaction; who is subscribed is found here. Raises UsageError for all of them."""
        addressed = [
            replace(
                one,
                subject=fit_subject(one.subject),
                body=fit_body(one.body),
                subscriptions=[
                    name for name, its in self._subscriptions.items() if its.wants(one.topic, one.attributes)
                ],
            )
            for one in publications
        ]
        stored = self._outbox.add(addressed, self._clock())
        if any(added for _, added in stored):
            self._tell()
        for one, (_, added) in zip(addressed, stored, strict=True):
            if added:
                self._listeners.tell(one.attributes)
        return [identity for identity, _ in stored]

    def on_change(self, listener: Callable[[Mapping[str, str]], None]) -> Callable[[], None]:
        """Call `listener` with a notification's attributes when this process published it or settled a delivery of it.

        It is called by the thread that did. Returns how to end that.
        """
        return self._listeners.add(listener)

    def version(self) -> int:
        """A number that changes when another process has written."""
        return self._outbox.version()

    def feed(self, limit: int = 50, before: int | None = None) -> list[FeedItem]:
        """The newest notifications first; `before` is a number of the feed, for the next page."""
        return self._outbox.feed(limit, before)

    def forget(self, attribute: str, values: Collection[str]) -> int:
        """Delete the notifications whose attribute has one of these values, sent or not. Returns how many."""
        return self._outbox.forget(attribute, values)

    def counts(self) -> dict[str, int]:
        """Deliveries to the configured subscriptions by state: pending, sent, dead."""
        return self._outbox.counts(list(self._subscriptions))

    def retry(self, number: int | None = None) -> int:
        """Try a dead delivery again, or all of them. Returns how many. Raises NotFound.

        What is owed to subscriptions that are no longer configured is given up.
        """
        self._drop_unknown()
        changed = self._outbox.retry(number, list(self._subscriptions), self._clock())
        self._tell()
        return changed

    def check(self) -> dict[str, str]:
        """What is wrong with each subscription's address, as far as can be told without sending. Empty is good."""
        wrong = {}
        for name, subscription in self._subscriptions.items():
            try:
                self._open(subscription)
                for variable in secret.missing(subscription.url):
                    wrong[name] = f"the environment variable {variable} is not set"
            except LakeheadError as error:
                wrong[name] = secret.redact(str(error), subscription.url)
        return wrong

    def deliver_due(self, now: datetime | None = None) -> int:
        """Attempt everything that is due, the subscriptions side by side. Returns how many were sent."""
        results: list[int | LakeheadError] = []

        def work(subscription: Subscription) -> None:
            try:
                results.append(self._drain(subscription, now))
            except LakeheadError as error:
                results.append(error)

        threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in self._subscriptions.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            if isinstance(result, LakeheadError):
                raise result
        return sum(result for result in results if isinstance(result, int))

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set, woken by publish. Each subscription has a thread, so none waits for another."""
        self._drop_unknown()
        threads = [
            threading.Thread(target=self._serve, args=(one, stop), name=f"notify-{one.name}", daemon=True)
            for one in self._subscriptions.values()
        ]
        for thread in threads:
            thread.start()
        stop.wait()
        self._tell()
        for thread in threads:
            thread.join(CLAIM_MARGIN)

    def flush(self, timeout: float) -> int:
        """Attempt what is due, for at most `timeout` seconds; for commands that end soon.

        Returns how many deliveries are still pending: they are tried again by the next command, or by `lakehead up`.
        """
        threads = [
            threading.Thread(target=self._flush, args=(one,), name="notify-flush", daemon=True)
            for one in self._subscriptions.values()
        ]
        end = time.monotonic() + timeout
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return self.counts()["pending"]

    def close(self) -> None:
        """Close the outbox. Deliveries under way are attempted again by whoever opens it next."""
        self._closed = True
        self._outbox.close()

    def _drop_unknown(self) -> None:
        dropped = self._outbox.drop_unknown(list(self._subscriptions), self._clock())
        if dropped:
            log.warning("gave up %d deliveries to subscriptions that are no longer configured", dropped)

    def _flush(self, subscription: Subscription) -> None:
        try:
            self._drain(subscription, None)
        except LakeheadError as error:
            if not self._closed:  # else the command has ended, and the next one goes on
                log.error("notifications to %s wait: %s", subscription.name, error)

    def _serve(self, subscription: Subscription, stop: threading.Event) -> None:
        while not stop.is_set():
            with self._changed:
                seen = self._generation
            try:
                self._drain(subscription, None, stop)
                wait = self._until_due(subscription)
            except LakeheadError as error:
                if self._closed:
                    return
                log.error("notifications to %s pause: %s", subscription.name, error)
                wait = LONGEST_WAIT
            with self._changed:
                self._changed.wait_for(partial(self._moved_on, seen, stop), wait)

    def _moved_on(self, seen: int, stop: threading.Event) -> bool:
        return self._generation != seen or stop.is_set()

    def _until_due(self, subscription: Subscription) -> float:
        due = self._outbox.next_due([subscription.name])
        return LONGEST_WAIT if due is None else min(LONGEST_WAIT, max(0.0, due - self._clock().timestamp()))

    def _drain(self, subscription: Subscription, now: datetime | None, stop: threading.Event | None = None) -> int:
        # The lock keeps two threads of this process from overtaking each other within one subscription.
        count = 0
        with self._locks[subscription.name]:
            while not (stop and stop.is_set()):
                claim = self._outbox.claim(
                    subscription.name,
                    now or self._clock(),
                    seconds=subscription.timeout_seconds + CLAIM_MARGIN,
                    longest=LONGEST_PAUSE,
                )
                if claim is None:
                    break
                count += self._attempt(subscription, claim)
        return count

    def _attempt(self, subscription: Subscription, claim: Claim) -> bool:
        try:
            self._send(subscription, claim.message)
        except Exception as error:
            self._note_failure(subscription, claim, error)
            return False
        else:
            self._outbox.sent(claim.number, self._clock())
            return True
        finally:
            self._listeners.tell(claim.message.attributes)

    def _note_failure(self, subscription: Subscription, claim: Claim, error: Exception) -> None:
        explained = isinstance(error, LakeheadError)
        text = secret.redact(str(error) if explained else f"{type(error).__name__}: {error}", subscription.url)
        again: float | None = None
        if not isinstance(error, NotificationError) and claim.attempt < self._max_attempts:
            asked = error.where.get("retry_after") if isinstance(error, LakeheadError) else None
            again = max(pause_after(claim.attempt, jitter=self._random.random()), min(float(asked or 0), LONGEST_PAUSE))
        self._outbox.failed(claim.number, self._clock(), error=text, again_in=again)
        log.log(
            logging.ERROR if again is None else logging.WARNING,
            "notification %s to %s failed at attempt %d, %s: %s",
            claim.message.id,
            subscription.name,
            claim.attempt,
            "given up" if again is None else f"again in {again:.0f} s",
            text,
        )

    def _send(self, subscription: Subscription, message: Message) -> None:
        """Send within the timeout. A sink that drips bytes outlives every socket timeout, so the thread is left behind.

        As long as it hangs, its subscription starts no other.
        """
        earlier = self._hanging.get(subscription.name)
        if earlier is not None and earlier.is_alive():
            raise TransientError("the earlier attempt still hangs")
        outcome: list[Exception | None] = []

        def work() -> None:
            try:
                self._open(subscription).send(message)
                outcome.append(None)
            except Exception as error:
                outcome.append(error)

        thread = threading.Thread(target=work, name=f"send-{subscription.name}", daemon=True)
        thread.start()
        thread.join(subscription.timeout_seconds)
        if not outcome:
            self._hanging[subscription.name] = thread
            raise TransientError(f"no answer within {subscription.timeout_seconds:g} s")
        if outcome[0] is not None:
            raise outcome[0]

    def _tell(self) -> None:
        with self._changed:
            self._generation += 1
            self._changed.notify_all()
