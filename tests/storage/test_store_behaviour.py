"""What every object store does, held to the same tests."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.stores import raised

from lakehead.errors import BucketNotFound, InvalidKey, ObjectNotFound, PreconditionFailed, UsageError
from lakehead.model import sequencer_order
from lakehead.storage import Move, ObjectStore, Put
from lakehead.storage.keys import MAX_KEY_BYTES, MAX_SEGMENT_BYTES

REPEATED = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ODD_KEYS = [
    "a",
    "sales/orders/ingest_date=2025-01-03/orders.csv",
    "a b/c+d%2Fe%/ä=ö&ß?#[*]{x}~'\"!;:@$,|^`<>.csv",
    "日本語/🦆.csv",
    "e\u0301/\u00e9",
    "per%cent/%2e%2e/%25",
    ".hidden/.%marked/_under",
    ".lakehead/top",
    "folder/",
    "two//slashes",
    "trailing dot./ space ",
    "x" * MAX_SEGMENT_BYTES,
    "/".join(["y" * 200] * 5),
]


def segments() -> st.SearchStrategy[str]:
    letters = st.one_of(
        st.sampled_from("ab./%+= &?#\u00e9\u0301日🦆_~*[]"),
        st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="\\/"),
    ).filter(lambda letter: letter != "/")
    return st.text(letters, max_size=12).filter(lambda segment: segment not in (".", ".."))


def keys() -> st.SearchStrategy[str]:
    made = st.lists(segments(), min_size=1, max_size=5).map("/".join)
    return made.filter(lambda key: key and not key.startswith("/") and len(key.encode()) <= MAX_KEY_BYTES)


def without_clashes(found: list[str]) -> list[str]:
    """Leave out a key that is a folder of another one: a directory cannot hold both."""
    return [key for key in found if not any(other.startswith(key + "/") for other in found)]


def listed(store: ObjectStore, bucket: str, prefix: str = "", **options: str) -> list[str]:
    return [info.key for info in store.list(bucket, prefix, **options)]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_valid_key_comes_back_as_it_was(store: ObjectStore, bucket: str, key: str) -> None:
    put = store.put(bucket, key, b"bytes")
    assert listed(store, bucket) == [key]
    assert store.get(bucket, key) == b"bytes"
    assert store.head(bucket, key).etag == put.etag != ""
    store.delete(bucket, key)
    assert listed(store, bucket) == []


@REPEATED
@given(found=st.lists(keys(), unique=True, max_size=12).map(without_clashes), data=st.data())
def test_listings_have_every_key_in_order(store: ObjectStore, found: list[str], data: st.DataObject) -> None:
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    store.create_bucket(bucket)
    for key in found:
        store.put(bucket, key, key.encode())
    ordered = sorted(found, key=str.encode)
    assert listed(store, bucket) == ordered
    assert all(store.get(bucket, key) == key.encode() for key in found)
    if found:
        chosen = data.draw(st.sampled_from(found))
        prefix = chosen[: data.draw(st.integers(0, len(chosen)))]
        after = data.draw(st.sampled_from([*found, prefix, chosen[:1]]))
        expected = [key for key in ordered if key.startswith(prefix) and key.encode() > after.encode()]
        assert listed(store, bucket, prefix, start_after=after) == expected


@pytest.mark.parametrize(
    "key",
    ["", "/absolute", "..", "a/../b", "a/./b", ".", "a\0b", "a\\b", "\ud800", "z" * (MAX_KEY_BYTES + 1), "../../etc/x"],
)
def test_a_key_that_no_store_may_hold_is_refused_everywhere(
    store: ObjectStore, bucket: str, key: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"")
    calls: list[Callable[[], object]] = [
        lambda: store.put(bucket, key, b""),
        lambda: store.put_file(bucket, key, source),
        lambda: raised(store.move_files(bucket, [Move(source, key)])),
        lambda: raised(store.put_all(bucket, [Put(key, b"")])),
        lambda: store.head(bucket, key),
        lambda: store.get(bucket, key),
        lambda: store.get_with_etag(bucket, key),
        lambda: store.get_tail(bucket, key, 1),
        lambda: store.open(bucket, key),
        lambda: store.local_path(bucket, key),
        lambda: store.delete(bucket, key),
    ]
    for call in calls:
        with pytest.raises(InvalidKey):
            call()
    assert source.exists()
    assert listed(store, bucket) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "a\0", "-x"])
def test_a_bad_bucket_name_is_refused(store: ObjectStore, name: str) -> None:
    for call in (lambda: store.create_bucket(name), lambda: store.put(name, "k", b""), lambda: listed(store, name)):
        with pytest.raises(InvalidKey):
            call()


def test_a_missing_bucket_is_told(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    calls: list[Callable[[], object]] = [
        lambda: listed(store, "missing-bucket"),
        lambda: store.put("missing-bucket", "k", b""),
        lambda: store.put_file("missing-bucket", "k", tmp_path / "f"),
    ]
    for call in calls:
        with pytest.raises(BucketNotFound):
            call()


def test_a_missing_object_is_told(store: ObjectStore, bucket: str) -> None:
    store.put(bucket, "folder/file", b"")
    for key in ("missing", "folder", "folder/file/below", "folder/"):
        calls: list[Callable[[], object]] = [
            lambda key=key: store.head(bucket, key),  # type: ignore[misc]
            lambda key=key: store.get(bucket, key),  # type: ignore[misc]
            lambda key=key: store.get_with_etag(bucket, key),  # type: ignore[misc]
            lambda key=key: store.get_tail(bucket, key, 3),  # type: ignore[misc]
            lambda key=key: store.open(bucket, key),  # type: ignore[misc]
        ]
        for call in calls:
            with pytest.raises(ObjectNotFound):
                call()
        store.delete(bucket, key)
    with pytest.raises(ObjectNotFound):
        store.head(bucket, "folder/file", version_id="no-such-version")
    assert listed(store, bucket) == ["folder/file"]


def test_creating_a_bucket_twice_keeps_what_is_in_it(store: ObjectStore, bucket: str) -> None:
    store.put(bucket, "k", b"x")
    store.create_bucket(bucket)
    assert store.get(bucket, "k") == b"x"


def test_put_tells_what_head_and_list_tell(store: ObjectStore, bucket: str) -> None:
    put = store.put(bucket, "k", b"12345")
    head = store.head(bucket, "k")
    (item,) = store.list(bucket)
    assert (put.size, head.size, item.size) == (5, 5, 5)
    assert put.etag == head.etag == store.get_with_etag(bucket, "k")[1]
    assert put.fingerprint == head.fingerprint == item.fingerprint
    assert put.sequencer == head.sequencer == item.sequencer
    assert re.fullmatch("[0-9A-Fa-f]{16,18}", head.sequencer)
    assert head.last_modified.tzinfo is UTC


def test_another_content_has_another_etag_and_fingerprint_and_no_older_sequencer(
    store: ObjectStore, bucket: str
) -> None:
    first, second = store.put(bucket, "k", b"one"), store.put(bucket, "k", b"two")
    assert first.etag != second.etag
    assert first.fingerprint != second.fingerprint
    assert sequencer_order(first.sequencer) <= sequencer_order(second.sequencer)
    assert store.get(bucket, "k") == b"two"


def test_the_tail_of_an_object(store: ObjectStore, bucket: str) -> None:
    store.put(bucket, "k", b"0123456789")
    store.put(bucket, "empty", b"")
    assert store.get_tail(bucket, "k", 3) == b"789"
    assert store.get_tail(bucket, "k", 100) == b"0123456789"
    assert store.get_tail(bucket, "empty", 8) == b""


def test_if_none_match_puts_only_where_nothing_is(store: ObjectStore, bucket: str) -> None:
    store.put(bucket, "k", b"first", if_none_match=True)
    with pytest.raises(PreconditionFailed):
        store.put(bucket, "k", b"second", if_none_match=True)
    assert store.get(bucket, "k") == b"first"
    store.delete(bucket, "k")
    store.put(bucket, "k", b"third", if_none_match=True)
    assert store.get(bucket, "k") == b"third"


def test_if_match_puts_only_over_what_was_read(store: ObjectStore, bucket: str) -> None:
    etag = store.put(bucket, "k", b"first").etag
    second = store.put(bucket, "k", b"second", if_match=etag).etag
    with pytest.raises(PreconditionFailed):
        store.put(bucket, "k", b"third", if_match=etag)
    assert store.get_with_etag(bucket, "k") == (b"second", second)
    with pytest.raises(PreconditionFailed):
        store.put(bucket, "missing", b"", if_match=etag)
    assert listed(store, bucket) == ["k"]


def test_open_reads_a_stream_of_the_version_asked_for(store: ObjectStore, bucket: str) -> None:
    content = bytes(range(256)) * 5000
    etag = store.put(bucket, "k", content).etag
    stream = store.open(bucket, "k", if_match=etag)
    try:
        assert b"".join(iter(lambda: stream.read(100_000), b"")) == content
    finally:
        stream.close()
    with pytest.raises(PreconditionFailed):
        store.open(bucket, "k", if_match="0" * 64)


@pytest.mark.parametrize("move", [False, True])
def test_a_file_becomes_an_object(store: ObjectStore, bucket: str, tmp_path: Path, move: bool) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content" * 1000)
    info = store.put_file(bucket, "deep/er/k", source, move=move)
    assert info.size == 7000
    assert info.etag in ("", store.head(bucket, "deep/er/k").etag)
    assert store.get(bucket, "deep/er/k") == b"content" * 1000
    assert source.exists() is not move


def test_many_files_are_moved_at_once(store: ObjectStore, bucket: str) -> None:
    staging = store.staging_dir(bucket, "attempt-1")
    moves = []
    for number in range(12):
        path = staging / f"{number}"
        path.write_bytes(b"%d" % number)
        moves.append(Move(path, f"p={number % 3}/f-{number}"))
    store.put(bucket, "p=0/f-0", b"old")
    store.move_files(bucket, moves)
    assert {key: store.get(bucket, key) for key in listed(store, bucket)} == {
        f"p={number % 3}/f-{number}": b"%d" % number for number in range(12)
    }
    assert list(staging.iterdir()) == []


def test_many_objects_are_put_at_once_each_under_its_own_condition(store: ObjectStore, bucket: str) -> None:
    first = store.put(bucket, "a", b"1")
    store.put(bucket, "b", b"1")
    puts = [Put("a", b"2", first.etag), Put("b", b"2"), Put("c/d", b"2"), Put("e", b"2", first.etag)]
    refused = store.put_all(bucket, puts)
    assert [type(one) for one in refused] == [type(None), PreconditionFailed, type(None), PreconditionFailed]
    assert {key: store.get(bucket, key) for key in listed(store, bucket)} == {"a": b"2", "b": b"1", "c/d": b"2"}
    assert list(store.put_all(bucket, [])) == []


def test_a_key_that_cannot_be_is_told_beside_those_that_can(store: ObjectStore, bucket: str) -> None:
    source = store.staging_dir(bucket, "attempt-1") / "file"
    source.write_bytes(b"2")
    assert [type(one) for one in store.put_all(bucket, [Put("../x", b"1"), Put("a", b"1")])] == [InvalidKey, type(None)]
    told = store.move_files(bucket, [Move(source, "../y"), Move(source, "b")])
    assert [type(one) for one in told] == [InvalidKey, type(None)]
    assert listed(store, bucket) == ["a", "b"]
    store.make_durable(bucket, ["a", "b"])


def test_locks_that_are_free_are_held_without_waiting(store: ObjectStore, bucket: str) -> None:
    with store.lock(bucket, "object-1"), store.try_lock(bucket, "object-1", "object-2") as held:
        assert held == ({"object-2"} if store.excludes else {"object-1", "object-2"})
    with store.try_lock(bucket, "object-1", "object-2") as held:
        assert held == {"object-1", "object-2"}


def test_staging_is_empty_at_every_try_and_in_no_listing(store: ObjectStore, bucket: str) -> None:
    staging = store.staging_dir(bucket, "attempt_1-A")
    (staging / "below").mkdir()
    (staging / "below" / "file").write_bytes(b"x")
    assert listed(store, bucket) == []
    assert list(store.stale_staging(bucket, timedelta(hours=1))) == []
    assert list(store.stale_staging(bucket, timedelta())) == [staging]
    assert list(store.staging_dir(bucket, "attempt_1-A").iterdir()) == []
    for name in ("", "..", "a/b", "a b", ".x"):
        with pytest.raises(UsageError):
            store.staging_dir(bucket, name)


def test_a_listing_can_be_read_while_objects_come_and_go(store: ObjectStore, bucket: str) -> None:
    for number in range(20):
        store.put(bucket, f"d{number:02}/k", b"")
    listing = store.list(bucket)
    first = [info.key for info in itertools.islice(listing, 5)]
    for number in range(5, 20):
        store.delete(bucket, f"d{number:02}/k")
    rest = [info.key for info in listing]
    assert first == [f"d{number:02}/k" for number in range(5)]
    assert set(rest) <= {f"d{number:02}/k" for number in range(5, 20)}


def test_a_lock_is_held_and_let_go(store: ObjectStore, bucket: str) -> None:
    for _ in range(2):
        with store.lock(bucket, "object-1"), store.lock(bucket, "content-1"):
            store.put(bucket, "k", b"x")
        with store.lock(bucket, *(f"object-{number}" for number in range(1_000))), store.lock(bucket):
            store.put(bucket, "k", b"x")
    assert listed(store, bucket) == ["k"]


def test_the_uri_names_bucket_and_key(store: ObjectStore, bucket: str) -> None:
    assert store.uri(bucket, "a/b").endswith(f"{bucket}/a/b")
