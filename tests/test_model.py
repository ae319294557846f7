"""Objects, versions and events."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.errors import UsageError
from lakehead.model import ObjectCreated, ObjectVersion, SteadyClock, iso, object_id, sequencer_order, utc_now

SEQUENCERS = st.integers(0, 2**80).map(lambda number: f"{number:x}")


def test_times_are_utc() -> None:
    assert utc_now().tzinfo is UTC
    assert iso(datetime(2025, 1, 3, 8, 1, 25, 123999, tzinfo=UTC)) == "2025-01-03T08:01:25.123Z"
    assert iso(datetime(2025, 1, 3, 1, tzinfo=timezone(timedelta(hours=2)))) == "2025-01-02T23:00:00.000Z"


class Clocks:
    """A wall clock that people set, and the time that really passes."""

    def __init__(self) -> None:
        self.wall, self.passed = datetime(2025, 3, 30, 0, 59, 59, tzinfo=UTC), 0.0

    def wait(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.passed += seconds

    def steady(self) -> SteadyClock:
        return SteadyClock(wall=lambda: self.wall, elapsed=lambda: self.passed)


def test_a_steady_clock_never_goes_back_and_goes_on_at_the_right_pace() -> None:
    clocks = Clocks()
    clock, noon = clocks.steady(), clocks.wall
    clocks.wait(5)
    assert clock() == noon + timedelta(seconds=5)
    clocks.wall -= timedelta(hours=1)
    clocks.wait(2)
    assert clock() == noon + timedelta(seconds=7)
    clocks.wall += timedelta(hours=2)
    assert clock() == clocks.wall
    clocks.wall -= timedelta(hours=1)
    clocks.wait(1800)
    assert clock() == clocks.wall + timedelta(hours=1)
    clocks.wall += timedelta(hours=1, seconds=1)
    assert clock() == clocks.wall, "once the machine's clock has caught up, it counts"


@given(st.lists(st.tuples(st.integers(-7200, 7200), st.integers(0, 600)), max_size=20))
def test_a_steady_clock_lets_no_less_than_the_true_time_pass(steps: list[tuple[int, int]]) -> None:
    clocks = Clocks()
    clock = clocks.steady()
    for jump, wait in steps:
        before = clock()
        clocks.wall += timedelta(seconds=jump)
        clocks.wait(wait)
        assert clock() >= max(before + timedelta(seconds=wait), clocks.wall)


def test_a_steady_clock_begins_after_what_was_noted() -> None:
    clocks = Clocks()
    clock, later = clocks.steady(), clocks.wall + timedelta(hours=1)
    clock.not_before(None, later, clocks.wall)
    clocks.wait(3)
    assert clock() == later + timedelta(seconds=3)
    clock.not_before(clocks.wall)
    assert clock() == later + timedelta(seconds=3)


def test_an_objects_id_is_its_keys() -> None:
    assert object_id("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert ObjectVersion("b", "a").id == object_id("a")
    assert str(ObjectVersion("b", "a/c.csv")) == "s3://b/a/c.csv"


@given(SEQUENCERS, SEQUENCERS, st.integers(0, 4))
def test_sequencers_order_as_numbers_however_long(one: str, two: str, zeros: int) -> None:
    assert (sequencer_order("0" * zeros + one.upper()) < sequencer_order(two)) == (int(one, 16) < int(two, 16))


def test_no_sequencer_comes_first() -> None:
    assert sequencer_order(None) == sequencer_order("") < sequencer_order("0")


@pytest.mark.parametrize("text", ["xyz", "-1", "+1", "0x1", "1_0", " 1", "1\n", "\uff11"])
def test_what_is_no_sequencer_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="hexadecimal"):
        sequencer_order(text)


def test_the_same_version_gets_the_same_id() -> None:
    version = ObjectVersion("b", "k", "e", 1, "1")
    assert ObjectCreated.of(version).id == ObjectCreated.of(version).id
    for other in (
        ObjectVersion("b", "k", "f", 1, "1"),
        ObjectVersion("b", "k", "e", 1, "2"),
        ObjectVersion("b", "l", "e", 1, "1"),
        ObjectVersion("c", "k", "e", 1, "1"),
    ):
        assert ObjectCreated.of(other).id != ObjectCreated.of(version).id


VERSIONS = st.builds(
    ObjectVersion,
    bucket=st.text("abc-", min_size=1),
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    etag=st.text("0123456789abcdef-", max_size=40),
    size=st.integers(0, 2**50),
    sequencer=st.just("") | SEQUENCERS,
    version_id=st.text("abcXYZ._", max_size=8),
)


@given(VERSIONS, st.integers(0, 2**33).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)))
def test_there_and_back(version: ObjectVersion, time: datetime) -> None:
    event = ObjectCreated.of(version, time=time.replace(microsecond=0))
    assert ObjectCreated.from_eventbridge(json.loads(json.dumps(event.to_eventbridge()))) == event


def test_the_envelope_is_eventbridges() -> None:
    event = ObjectCreated.of(ObjectVersion("raw", "a b+c%20.csv", size=3), time=datetime(2025, 1, 3, tzinfo=UTC))
    assert event.to_eventbridge() == {
        "version": "0",
        "id": event.id,
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "000000000000",
        "time": "2025-01-03T00:00:00Z",
        "region": "local",
        "resources": ["arn:aws:s3:::raw"],
        "detail": {
            "version": "0",
            "bucket": {"name": "raw"},
            "object": {"key": "a b+c%20.csv", "size": 3},
            "reason": "PutObject",
        },
    }


def test_what_is_optional_may_be_absent() -> None:
    event = ObjectCreated.of(ObjectVersion("b", "k")).to_eventbridge()
    del event["detail"]["object"]["size"], event["detail"]["reason"], event["region"], event["account"]
    decoded = ObjectCreated.from_eventbridge(event)
    assert decoded.object == ObjectVersion("b", "k")
    assert decoded.reason == "PutObject"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_garbage_is_a_usage_error(garbage: Any) -> None:
    with pytest.raises(UsageError):
        ObjectCreated.from_eventbridge(garbage)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("source",), "aws.ec2"),
        (("detail-type",), "Object Deleted"),
        (("time",), "2025-01-03"),
        (("time",), 5),
        (("time",), "0001-01-01T00:00:00+14:00"),
        (("detail",), None),
        (("detail", "bucket", "name"), 5),
        (("detail", "object", "key"), ""),
        (("detail", "object", "size"), "big"),
        (("detail", "object", "sequencer"), "-5"),
    ],
)
def test_a_wrong_field_is_a_usage_error(place: tuple[str, ...], value: Any) -> None:
    event: Any = ObjectCreated.of(ObjectVersion("b", "k")).to_eventbridge()
    inner = event
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with pytest.raises(UsageError):
        ObjectCreated.from_eventbridge(event)
