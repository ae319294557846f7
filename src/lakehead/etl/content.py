"""Notices the same bytes under another key: a marker per content says which key loaded it first.

A marker counts only while that key's commit record holds the content. Where the first key was rewritten since, the
next key with these bytes takes the marker over.
"""

from __future__ import annotations

import json

from lakehead.errors import CommitConflict, CorruptRecord, ObjectNotFound, PreconditionFailed
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import portions_of, read_commit
from lakehead.etl.record import dump
from lakehead.model import object_id
from lakehead.storage import layout
from lakehead.storage.base import ObjectStore

_TRIES = 5


def first_key(store: ObjectStore, bucket: str, dataset: str, content_sha256: str, key: str) -> str | None:
    """The other key whose committed rows come from these bytes, None where there is none."""
    return _read(store, bucket, dataset, content_sha256, key)[0]


def claim(
    store: ObjectStore, bucket: str, dataset: str, content_sha256: str, key: str, *, durable: bool = True
) -> str | None:
    """Mark the bytes as loaded under `key`, unless another key's committed rows come from them: then that key.

    Raises CommitConflict where others keep writing the marker.
    """
    place = layout.content_key(dataset, content_sha256)
    for _ in range(_TRIES):
        other, marked, etag = _read(store, bucket, dataset, content_sha256, key)
        if other is not None or marked == key:
            return other
        try:
            document = dump({"format": 1, "key": key})
            store.put(bucket, place, document, if_none_match=not etag, if_match=etag, durable=durable)
        except PreconditionFailed:
            continue
        return None
    raise CommitConflict(
        "others keep writing the content's marker", hint="Run the job again.", bucket=bucket, key=place
    )


def still_holds(store: ObjectStore, bucket: str, record: CommitRecord) -> bool:
    """Whether the key that a record leaves its rows to still has them."""
    return _holds(store, bucket, record.dataset, record.duplicate_of, record.content_sha256)


def marked_key(data: bytes) -> str:
    """The key in a marker; empty where the marker cannot be read, so that the next key takes it over."""
    try:
        return str(json.loads(data)["key"])
    except (ValueError, KeyError, TypeError):
        return ""


def _read(store: ObjectStore, bucket: str, dataset: str, content_sha256: str, key: str) -> tuple[str | None, str, str]:
    """The other key that holds the content, the key in the marker, and the marker's etag."""
    try:
        data, etag = store.get_with_etag(bucket, layout.content_key(dataset, content_sha256))
    except ObjectNotFound:
        return None, "", ""
    marked = marked_key(data)
    if marked and marked != key and _holds(store, bucket, dataset, marked, content_sha256):
        return marked, marked, etag
    return None, marked, etag


def _holds(store: ObjectStore, bucket: str, dataset: str, key: str, content_sha256: str) -> bool:
    try:
        record = read_commit(store, bucket, dataset, object_id(key))
    except CorruptRecord:
        return False
    if record is None or record.duplicate_of:
        return False
    return any(portion.content_sha256 == content_sha256 for portion in portions_of(record))
