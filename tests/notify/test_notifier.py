"""Published once, delivered at least once, one sink never in another's way."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.errors import ConfigError, NotFound, NotificationError, TransientError, UsageError
from lakehead.notify import Message, Notifier, Subscription
from lakehead.notify.notifier import FIRST_PAUSE, LONGEST_PAUSE, pause_after

Make = Callable[..., Notifier]
WAIT = 20.0


class Recording:
    """A channel that fails as it is told, then remembers what it was sent."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.sent: list[Message] = []
        self.attempts: list[Message] = []
        self.changed = threading.Condition()

    def send(self, message: Message) -> None:
        with self.changed:
            self.attempts.append(message)
            self.changed.notify_all()
            if self.failures:
                raise self.failures.pop(0)
            self.sent.append(message)

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.sent) >= count, WAIT), "not delivered"


def publish(notifier: Notifier, token: str = "t1", outcome: str = "success", **more: Any) -> str:
    attributes = {"outcome": outcome}
    return notifier.publish("arn:topic", "Loaded", "3 rows", **{"token": token, "attributes": attributes, **more})


def states(notifier: Notifier) -> dict[str, str]:
    return {one.subscription: one.state for item in notifier.feed() for one in item.deliveries}


def test_the_same_token_publishes_once(make_notifier: Make) -> None:
    channel = Recording()
    notifier = make_notifier(Subscription("a", "x:"), open=lambda _: channel)
    first = publish(notifier)
    assert publish(notifier) == first == publish(notifier, outcome="failure")
    assert publish(notifier, token="t2") != first
    assert notifier.deliver_due() == 2
    assert notifier.deliver_due() == 0
    assert [message.id for message in channel.sent] == [item.message_id for item in reversed(notifier.feed())]


def test_the_same_token_publishes_once_from_many_threads(make_notifier: Make) -> None:
    channel = Recording()
    notifier = make_notifier(Subscription("a", "x:"), open=lambda _: channel)
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.append(publish(notifier))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notifier.deliver_due()
    assert len(set(ids)) == 1
    assert len(channel.sent) == 1


def test_subscriptions_get_what_they_asked_for(make_notifier: Make) -> None:
    channels = {name: Recording() for name in ("all", "good", "bad", "elsewhere")}
    notifier = make_notifier(
        Subscription("all", "x:"),
        Subscription("good", "x:", on="success"),
        Subscription("bad", "x:", on="failure"),
        Subscription("elsewhere", "x:", topic="another"),
        open=lambda one: channels[one.name],
    )
    publish(notifier, "t1", "success")
    publish(notifier, "t2", "failure")
    notifier.deliver_due()
    got = {name: [message.attributes["outcome"] for message in one.sent] for name, one in channels.items()}
    assert got == {"all": ["success", "failure"], "good": ["success"], "bad": ["failure"], "elsewhere": []}


def test_a_transient_failure_is_tried_again_with_the_same_ids(make_notifier: Make, clock: Any) -> None:
    channel = Recording(TransientError("down"), TransientError("down"))
    notifier = make_notifier(Subscription("a", "x:"), open=lambda _: channel)
    publish(notifier)
    assert notifier.deliver_due() == 0
    (delivery,) = notifier.feed()[0].deliveries
    assert (delivery.state, delivery.attempts, delivery.last_error) == ("pending", 1, "down")
    assert delivery.due_at > clock.now
    assert notifier.deliver_due() == 0
    assert len(channel.attempts) == 1  # not before it is due
    clock.forward(FIRST_PAUSE)
    assert notifier.deliver_due() == 0
    clock.forward(2 * FIRST_PAUSE)
    assert notifier.deliver_due() == 1
    assert len({message.delivery_id for message in channel.attempts}) == 1
    (delivery,) = notifier.feed()[0].deliveries
    assert (delivery.state, delivery.attempts, delivery.last_error) == ("sent", 3, "")


def test_attempts_are_bounded_and_what_is_dead_can_be_retried(make_notifier: Make, clock: Any) -> None:
    channel = Recording(*[TransientError("down")] * 3)
    notifier = make_notifier(Subscription("a", "x:"), open=lambda _: channel, max_attempts=3)
    publish(notifier)
    for _ in range(5):
        notifier.deliver_due()
        clock.forward(LONGEST_PAUSE)
    assert len(channel.attempts) == 3
    (delivery,) = notifier.feed()[0].deliveries
    assert (delivery.state, delivery.last_error) == ("dead", "down")
    with pytest.raises(NotFound):
        notifier.retry(delivery.number + 1)
    assert notifier.retry(delivery.number) == 1
    assert notifier.deliver_due() == 1
    assert notifier.counts() == {"pending": 0, "sent": 1, "dead": 0}


def test_a_retry_waits_for_no_pause(make_notifier: Make) -> None:
    channel = Recording(TransientError("down"))
    notifier = make_notifier(Subscription("a", "x:"), open=lambda _: channel)
    publish(notifier)
    assert notifier.deliver_due() == 0
    assert notifier.flush(10) == 1
    assert notifier.retry() == 0, "none was given up"
    assert notifier.flush(10) == 0
    assert len(channel.attempts) == 2


def test_a_permanent_failure_is_dead_at_once(make_notifier: Make) -> None:
    channel = Recording(NotificationError("no such recipient"))
    notifier = make_notifier(Subscription("a", "x:"), open=lambda _: channel)
    publish(notifier)
    notifier.deliver_due()
    assert states(notifier) == {"a": "dead"}
    assert notifier.retry() == 1


def test_a_bug_in_a_channel_is_a_failure_like_any_other(make_notifier: Make) -> None:
    channel = Recording(ZeroDivisionError("oops"))
    notifier = make_notifier(Subscription("a", "x:"), open=lambda _: channel)
    publish(notifier)
    notifier.deliver_due()
    assert notifier.feed()[0].deliveries[0].last_error == "ZeroDivisionError: oops"


def test_a_server_that_asks_for_a_pause_gets_it(make_notifier: Make, clock: Any) -> None:
    channel = Recording(TransientError("busy", retry_after=120))
    notifier = make_notifier(Subscription("a", "x:"), open=lambda _: channel)
    publish(notifier)
    notifier.deliver_due()
    clock.forward(119)
    assert notifier.deliver_due() == 0
    clock.forward(1)
    assert notifier.deliver_due() == 1


def test_a_clock_that_is_set_back_holds_up_no_delivery(make_notifier: Make, clock: Any) -> None:
    channel = Recording(TransientError("down"))
    notifier = make_notifier(Subscription("a", "x:"), open=lambda _: channel)
    publish(notifier)
    notifier.deliver_due()
    clock.forward(-7200)
    assert notifier.deliver_due() == 1

    publish(notifier, token="t2")
    assert notifier._outbox.claim("a", clock(), seconds=10, longest=LONGEST_PAUSE)  # by a process that dies
    assert notifier.deliver_due() == 0
    clock.forward(-7200)
    assert notifier.deliver_due() == 1


def test_a_hanging_sink_holds_up_nobody_else(make_notifier: Make, clock: Any) -> None:
    release, hanging = threading.Event(), threading.Event()

    class Hanging:
        count = 0

        def send(self, message: Message) -> None:
            Hanging.count += 1
            hanging.set()
            release.wait(WAIT)

    good = Recording()
    notifier = make_notifier(
        Subscription("bad", "x:", timeout_seconds=0.2),
        Subscription("good", "x:"),
        open=lambda one: good if one.name == "good" else Hanging(),
    )
    stop = threading.Event()
    runner = threading.Thread(target=notifier.run, args=(stop,))
    runner.start()
    try:
        publish(notifier, "t1")
        good.wait_for(1)
        assert hanging.wait(WAIT)
        publish(notifier, "t2")
        good.wait_for(2)
    finally:
        stop.set()
        runner.join(WAIT)
    assert not runner.is_alive()
    clock.forward(LONGEST_PAUSE)
    notifier.deliver_due()
    assert Hanging.count == 1  # one thread hangs, not one per attempt
    release.set()
    assert "still hangs" in notifier.feed()[0].deliveries[0].last_error


def test_run_is_woken_by_publish(make_notifier: Make) -> None:
    # Without the wake-up the message would come after LONGEST_WAIT, beyond what wait_for allows.
    channel = Recording()
    notifier = make_notifier(Subscription("a", "x:"), open=lambda _: channel)
    stop = threading.Event()
    runner = threading.Thread(target=notifier.run, args=(stop,))
    runner.start()
    for number in range(3):
        publish(notifier, f"t{number}")
        channel.wait_for(number + 1)
    stop.set()
    runner.join(WAIT)
    assert not runner.is_alive()


def test_flush_leaves_a_failing_sink_to_the_next_command(make_notifier: Make) -> None:
    good = Recording()
    bad = Recording(TransientError("down"))
    notifier = make_notifier(
        Subscription("good", "x:"), Subscription("bad", "x:"), open=lambda one: good if one.name == "good" else bad
    )
    publish(notifier)
    assert notifier.flush(WAIT) == 1
    assert states(notifier) == {"good": "sent", "bad": "pending"}


def test_flush_is_bounded(make_notifier: Make) -> None:
    release = threading.Event()

    class Hanging:
        def send(self, message: Message) -> None:
            release.wait(WAIT)

    notifier = make_notifier(Subscription("a", "x:", timeout_seconds=WAIT), open=lambda _: Hanging())
    publish(notifier)
    assert notifier.flush(0.05) == 1
    notifier.close()
    release.set()


def test_two_processes_do_not_attempt_the_same_delivery(make_notifier: Make, clock: Any) -> None:
    inside, release = threading.Event(), threading.Event()

    class Slow(Recording):
        def send(self, message: Message) -> None:
            inside.set()
            release.wait(WAIT)
            super().send(message)

    slow, other = Slow(), Recording()
    one = make_notifier(Subscription("a", "x:", timeout_seconds=WAIT), open=lambda _: slow)
    two = make_notifier(Subscription("a", "x:", timeout_seconds=WAIT), open=lambda _: other)
    publish(one)
    thread = threading.Thread(target=one.deliver_due)
    thread.start()
    assert inside.wait(WAIT)
    assert two.deliver_due() == 0
    release.set()
    thread.join(WAIT)
    assert two.deliver_due() == 0
    assert (len(slow.sent), len(other.sent)) == (1, 0)


def test_killed_in_mid_delivery_it_is_sent_again_with_the_same_key(
    tmp_path: Path, make_notifier: Make, sink: Any, clock: Any
) -> None:
    program = """
import sys, pathlib
from lakehead.notify import Notifier, Subscription
notifier = Notifier(pathlib.Path(sys.argv[1]), [Subscription("hook", sys.argv[2])])
notifier.publish("topic", "Loaded", "3 rows", token="t1")
notifier.deliver_due()
"""
    sink.hang = True
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "notify.db"), sink.url])
    sink.wait_for(1)
    os.kill(child.pid, signal.SIGKILL)
    child.wait(WAIT)
    sink.hang = False
    notifier = make_notifier(Subscription("hook", sink.url))
    assert states(notifier) == {"hook": "pending"}
    assert notifier.publish("topic", "Loaded", "3 rows", token="t1") == notifier.feed()[0].message_id
    assert notifier.deliver_due() == 0  # the claim of the dead process still holds
    clock.forward(60)
    assert notifier.deliver_due() == 1
    keys = [request.headers["Idempotency-Key"] for request in sink.requests]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_the_feed_pages_backwards(make_notifier: Make) -> None:
    notifier = make_notifier()
    for number in range(5):
        publish(notifier, f"t{number}")
    first = notifier.feed(2)
    second = notifier.feed(2, before=first[-1].number)
    assert [item.number for item in (*first, *second)] == [5, 4, 3, 2]
    assert first[0].attributes == {"outcome": "success"}
    assert json.loads(json.dumps(first[0].to_json()))["deliveries"] == []


def test_what_is_owed_to_a_removed_subscription_is_given_up(make_notifier: Make) -> None:
    publish(make_notifier(Subscription("old", "console:")))
    notifier = make_notifier(Subscription("new", "console:"))
    stop = threading.Event()
    stop.set()
    notifier.run(stop)
    (delivery,) = notifier.feed()[0].deliveries
    assert (delivery.state, delivery.last_error) == ("dead", "the subscription is no longer configured")


def test_a_retry_is_of_what_is_owed_to_subscriptions_that_are_configured(make_notifier: Make) -> None:
    def refused() -> Recording:
        return Recording(*[NotificationError("no")] * 2)

    old, new = Subscription("old", "x:"), Subscription("new", "x:")
    before = make_notifier(old, new, open=lambda _: refused())
    publish(before)
    before.deliver_due()
    publish(before, token="t2")  # not attempted
    notifier = make_notifier(new, open=lambda _: refused())
    assert notifier.retry() == 1
    assert notifier.counts() == {"pending": 2, "sent": 0, "dead": 0}
    with pytest.raises(NotFound, match="configured"):
        notifier.retry(notifier.feed()[-1].deliveries[0].number)
    assert notifier.flush(WAIT) == 0
    assert notifier.counts() == {"pending": 0, "sent": 0, "dead": 2}


def test_the_console_channel_needs_nothing(make_notifier: Make) -> None:
    notifier = make_notifier(Subscription("feed", "console:"))
    publish(notifier)
    assert notifier.deliver_due() == 1
    assert notifier.check() == {}


def test_an_unset_variable_waits_and_says_so(make_notifier: Make, monkeypatch: Any, sink: Any, clock: Any) -> None:
    notifier = make_notifier(Subscription("hook", "env:HOOK_URL"))
    publish(notifier)
    assert "HOOK_URL" in notifier.check()["hook"]
    assert notifier.deliver_due() == 0
    assert "HOOK_URL" in notifier.feed()[0].deliveries[0].last_error
    monkeypatch.setenv("HOOK_URL", sink.url)
    clock.forward(LONGEST_PAUSE)
    assert notifier.deliver_due() == 1


@pytest.mark.filterwarnings("ignore:'imghdr'")  # what apprise imports on some Pythons
@pytest.mark.parametrize(
    "form",
    [
        "env:CANARY_URL",
        "http://127.0.0.1:{port}/services/${{CANARY}}?key=${{CANARY}}",
        "http://127.0.0.1:{port}/services/c4n4ry-s3cret",
        "smtp://me:${{CANARY}}@127.0.0.1:1/?to=a@example.com&tls=none",
        "unknown://${{CANARY}}/x",
    ],
)
def test_no_secret_reaches_the_database_or_the_logs(
    form: str, tmp_path: Path, make_notifier: Make, make_sink: Any, monkeypatch: Any, caplog: Any
) -> None:
    sink = make_sink()
    sink.answers = [(401, {}), (500, {})]
    port = sink.url.split(":")[2].split("/")[0]
    canary = "c4n4ry-s3cret"
    monkeypatch.setenv("CANARY", canary)
    monkeypatch.setenv("CANARY_URL", f"http://user:{canary}@127.0.0.1:{port}/{canary}")
    notifier = make_notifier(Subscription("hook", form.format(port=port)))
    with caplog.at_level(logging.DEBUG):
        publish(notifier)
        notifier.deliver_due()
        notifier.check()
        publish(notifier, "t2")
        notifier.deliver_due()
    assert notifier.counts()["sent"] == 0
    notifier.close()
    for file in tmp_path.iterdir():
        assert canary.encode() not in file.read_bytes(), file
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("lakehead")]
    assert ours
    assert canary not in "\n".join(ours)


def test_wrong_subscriptions_are_refused(make_notifier: Make) -> None:
    with pytest.raises(ConfigError):
        Subscription("a", "x:", on="sometimes")
    with pytest.raises(ConfigError):
        Subscription("", "x:")
    with pytest.raises(ConfigError):
        Subscription("a", "x:", timeout_seconds=0)
    with pytest.raises(ConfigError):
        make_notifier(Subscription("a", "x:"), Subscription("a", "y:"))
    with pytest.raises(UsageError):
        publish_empty(make_notifier())


def publish_empty(notifier: Notifier) -> None:
    notifier.publish("topic", "subject", "  ", token="t")


def test_a_newer_database_is_refused(tmp_path: Path, make_notifier: Make) -> None:
    import sqlite3

    make_notifier().close()
    connection = sqlite3.connect(tmp_path / "notify.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(ConfigError, match="newer Lakehead"):
        make_notifier()


@given(attempt=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_pauses_grow_and_are_bounded(attempt: int, jitter: float) -> None:
    pause = pause_after(attempt, jitter=jitter)
    assert FIRST_PAUSE / 2 <= pause <= LONGEST_PAUSE
    assert pause <= FIRST_PAUSE * 2 ** min(attempt - 1, 100)
    assert pause_after(attempt + 1, jitter=jitter) >= pause
