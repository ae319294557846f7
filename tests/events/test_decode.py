"""One decoder per event source; garbage names the field."""

from __future__ import annotations

import copy
import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.errors import UsageError
from lakehead.events import decode
from lakehead.events.decode import from_eventbridge, from_notification
from lakehead.model import ObjectCreated, ObjectVersion, utc_now

KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
BRIDGE = ObjectCreated.of(ObjectVersion("raw", "a+b%20c.csv", "e", 3, "0A", "v1")).to_eventbridge()
CLASSIC: dict[str, Any] = {
    "Records": [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "eu-west-1",
            "eventTime": "2025-01-03T08:01:25.123Z",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "raw"},
                "object": {"key": "a%2Bb+c.csv", "size": 3, "eTag": "e", "sequencer": "0A", "versionId": "v1"},
            },
        }
    ]
}


@given(KEYS)
def test_an_eventbridge_key_is_taken_as_it_is(key: str) -> None:
    version = ObjectVersion("raw", key, "e", 3, "0A", "v1")
    event = ObjectCreated.of(version, time=utc_now().replace(microsecond=0))
    assert decode(event.to_eventbridge()) == [event]
    assert from_eventbridge(json.dumps(event.to_eventbridge()).encode()) == event


@given(KEYS)
def test_a_notifications_key_is_decoded(key: str) -> None:
    event = copy.deepcopy(CLASSIC)
    event["Records"][0]["s3"]["object"]["key"] = quote_plus(key, safe="/")
    (decoded,) = decode(json.dumps(event))
    assert decoded.object == ObjectVersion("raw", key, "e", 3, "0A", "v1")


def test_a_notification() -> None:
    (event,) = from_notification(CLASSIC)
    assert event.object.key == "a+b c.csv"
    assert (event.region, event.reason) == ("eu-west-1", "Put")
    assert event.time.isoformat() == "2025-01-03T08:01:25.123000+00:00"
    assert from_notification(CLASSIC)[0].id == event.id


def test_other_records_are_left_out() -> None:
    other = copy.deepcopy(CLASSIC["Records"][0])
    other["eventName"] = "ObjectRemoved:Delete"
    assert len(decode({"Records": [other, *CLASSIC["Records"]]})) == 1
    assert decode({"Service": "Amazon S3", "Event": "s3:TestEvent"}) == []


def damaged(event: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    event = copy.deepcopy(event)
    *above, last = path.split(".")
    place: Any = event
    for name in above:
        place = place[int(name)] if name.isdecimal() else place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return event


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("source", None),
        ("detail-type", 1),
        ("id", None),
        ("time", None),
        ("detail.bucket", "raw"),
        ("detail.bucket.name", ""),
        ("detail.object", []),
        ("detail.object.key", None),
        ("detail.object.key", 7),
        ("detail.object.size", "big"),
        ("detail.object.size", -1),
    ],
)
def test_garbage_names_the_field(path: str, value: object) -> None:
    with pytest.raises(UsageError) as caught:
        decode(damaged(BRIDGE, path, value))
    assert caught.value.where["field"].startswith(path)


@pytest.mark.parametrize("change", [("time", "yesterday"), ("time", "2025-01-01T00:00:00"), ("source", "aws.ec2")])
def test_wrong_values_are_refused(change: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        decode(damaged(BRIDGE, *change))
    with pytest.raises(UsageError):
        decode(damaged(BRIDGE, "detail.object.sequencer", "xyz"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("eventName", None),
        ("eventTime", "soon"),
        ("s3", None),
        ("s3.bucket.name", 3),
        ("s3.object.key", ""),
        ("s3.object.size", True),
        ("s3.object.sequencer", "zz"),
    ],
)
def test_a_bad_record_names_the_field(path: str, value: object) -> None:
    with pytest.raises(UsageError) as caught:
        decode(damaged(CLASSIC, f"Records.0.{path}", value))
    assert caught.value.where["field"].startswith(f"Records[0].{path}")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_anything_else_is_a_usage_error(garbage: object) -> None:
    with pytest.raises(UsageError):
        decode(json.dumps(garbage))
    if not isinstance(garbage, str):
        with pytest.raises(UsageError):
            decode(garbage)


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe", "[" * 100_000, '{"Records": 5}', '{"Records": [5]}'])
def test_broken_json_is_a_usage_error(text: str | bytes) -> None:
    with pytest.raises(UsageError):
        decode(text)
