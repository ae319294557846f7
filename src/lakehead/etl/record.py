"""Commit records as stored: a summary, then JSON. Unknown fields are passed over; a missing one is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TypeVar

from lakehead.errors import CorruptRecord
from lakehead.etl.base import CommitRecord, CommittedFile, Portion
from lakehead.model import Json, ObjectVersion, sequencer_order

FORMAT = 1
HEAD_BYTES = 1024
SUMMARY = ("execution", "rows_read", "rows_committed", "rows_quarantined")
"""What a workflow reads of a record, besides the version of its source."""

REPAIR_HINT = "Set it aside and load the object again with: lakehead verify --repair"

T = TypeVar("T")


def encode(record: CommitRecord) -> bytes:
    """A record as it is stored."""
    return store_form({"format": FORMAT, **asdict(record)}, record)


def store_form(document: dict[str, Json], record: CommitRecord) -> bytes:
    """A record's document as it is stored: a summary of HEAD_BYTES in one line, then the whole document.

    The summary is JSON, padded with spaces: a workflow reads just these bytes, by a ranged GetObject, because a record
    may name thousands of files and a workflow carries 256 KiB.
    """
    source = {name: getattr(record.source, name) for name in ("etag", "sequencer", "version_id")}
    head = json.dumps({"source": source, **{name: getattr(record, name) for name in SUMMARY}}).encode()
    if len(head) >= HEAD_BYTES:
        raise ValueError("a commit record's summary is too long")
    return head.ljust(HEAD_BYTES - 1) + b"\n" + dump(document)


def dump(document: Json) -> bytes:
    """A JSON document as it is stored: the same document gives the same bytes."""
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def decode(data: bytes, *, bucket: str, key: str) -> tuple[CommitRecord, dict[str, Json]]:
    """The record in a document, and the document itself with what this version does not know. Raises CorruptRecord."""
    try:
        document = json.loads(data[HEAD_BYTES:])
        return _record(_Fields(document, "")), document
    except (ValueError, TypeError, RecursionError) as error:
        message = f"the commit record cannot be read: {error}"
        raise CorruptRecord(message, hint=REPAIR_HINT, bucket=bucket, key=key) from error


def _record(fields: _Fields) -> CommitRecord:
    return CommitRecord(
        dataset=fields.text("dataset"),
        object_id=fields.text("object_id"),
        source=fields.one("source", _version),
        content_sha256=fields.text("content_sha256"),
        contract_version=fields.text("contract_version"),
        contract_sha256=fields.text("contract_sha256"),
        engine=fields.text("engine"),
        execution=fields.text("execution"),
        attempt=fields.text("attempt"),
        committed_at=fields.text("committed_at"),
        rows_read=fields.count("rows_read"),
        rows_committed=fields.count("rows_committed"),
        rows_quarantined=fields.count("rows_quarantined"),
        files=fields.many("files", _file),
        quarantine=fields.many("quarantine", _file),
        schema=fields.pairs("schema"),
        reasons=fields.counts("reasons"),
        warnings=fields.texts("warnings"),
        portions=fields.many("portions", _portion, optional=True),
        replaced=fields.texts("replaced", optional=True),
        duplicate_of=fields.text("duplicate_of", optional=True),
        deleted=fields.text("deleted", optional=True),
    )


def _version(fields: _Fields) -> ObjectVersion:
    version = ObjectVersion(
        bucket=fields.text("bucket"),
        key=fields.text("key"),
        etag=fields.text("etag"),
        size=fields.count("size"),
        sequencer=fields.text("sequencer"),
        version_id=fields.text("version_id"),
    )
    try:
        sequencer_order(version.sequencer)
    except Exception as error:
        raise ValueError(f"source.sequencer: {error}") from error
    return version


def _file(fields: _Fields) -> CommittedFile:
    return CommittedFile(
        key=fields.text("key"),
        partition=fields.text("partition"),
        rows=fields.count("rows"),
        bytes=fields.count("bytes"),
        sha256=fields.text("sha256", optional=True),
    )


def _portion(fields: _Fields) -> Portion:
    return Portion(
        content_sha256=fields.text("content_sha256"),
        contract_sha256=fields.text("contract_sha256"),
        rows_read=fields.count("rows_read"),
        rows_committed=fields.count("rows_committed"),
        rows_quarantined=fields.count("rows_quarantined"),
        keys=fields.texts("keys"),
        reasons=fields.counts("reasons"),
    )


class _Fields:
    """A JSON object whose fields are asked for by name and type. Raises ValueError that names the field."""

    def __init__(self, document: Json, path: str) -> None:
        if not isinstance(document, Mapping):
            raise ValueError(f"{path or 'the document'} is no object")
        self._document, self._path = document, path

    def text(self, name: str, *, optional: bool = False) -> str:
        return self._typed(name, str, "" if optional else None)

    def count(self, name: str) -> int:
        value = self._typed(name, int, None)
        if isinstance(value, bool) or value < 0:
            raise ValueError(f"{self._path}{name} is no count")
        return value

    def counts(self, name: str) -> dict[str, int]:
        inner = _Fields(self._typed(name, dict, None), f"{self._path}{name}.")
        return {key: inner.count(key) for key in inner._document}

    def texts(self, name: str, *, optional: bool = False) -> tuple[str, ...]:
        values = self._typed(name, list, [] if optional else None)
        if not all(isinstance(value, str) for value in values):
            raise ValueError(f"{self._path}{name} is no list of texts")
        return tuple(values)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        values = self._typed(name, list, None)
        if not all(isinstance(v, list) and len(v) == 2 and all(isinstance(t, str) for t in v) for v in values):
            raise ValueError(f"{self._path}{name} is no list of pairs of texts")
        return tuple((first, second) for first, second in values)

    def one(self, name: str, make: Callable[[_Fields], T]) -> T:
        return make(_Fields(self._typed(name, dict, None), f"{self._path}{name}."))

    def many(self, name: str, make: Callable[[_Fields], T], *, optional: bool = False) -> tuple[T, ...]:
        values = self._typed(name, list, [] if optional else None)
        return tuple(make(_Fields(value, f"{self._path}{name}[{n}].")) for n, value in enumerate(values))

    def _typed(self, name: str, kind: type[T], default: T | None) -> T:
        if name not in self._document:
            if default is None:
                raise ValueError(f"{self._path}{name} is missing")
            return default
        value = self._document[name]
        if not isinstance(value, kind):
            raise ValueError(f"{self._path}{name} is no {kind.__name__}")
        return value
