"""The one place that knows which keys a lake uses.

`dataset` is a dataset's path, `sales/orders`. Every key is relative to the zone's bucket.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import date

SYSTEM = "_lakehead/"
"""Lakehead's own objects. Names that begin with `_` are invisible to Athena, Spark and crawlers."""

COMMITS = SYSTEM + "commits/"
CONTENT = SYSTEM + "content/"
DAMAGED = SYSTEM + "damaged/"
DELETIONS = SYSTEM + "deletions/"
QUARANTINE = "quarantine/"
INGEST_PARTITION = "ingest_date"

_DATA_NAME = re.compile(r"(?P<object>[0-9a-f]{20})-(?P<version>[0-9a-f]{12})(-[0-9]+)?\.parquet")


def dataset_prefix(dataset: str) -> str:
    """What all of a dataset's objects begin with, in the raw and the processed zone."""
    return f"{dataset}/"


def raw_prefix(dataset: str, day: date) -> str:
    """Where files land that came on `day` (UTC)."""
    return f"{dataset}/{INGEST_PARTITION}={day.isoformat()}/"


def raw_key(dataset: str, day: date, name: str) -> str:
    """Where a file of this name lands that came on `day` (UTC)."""
    return raw_prefix(dataset, day) + name


def dataset_of(key: str, datasets: Iterable[str]) -> str | None:
    """The dataset that a raw or processed key belongs to: the longest whose prefix it has."""
    return max((name for name in datasets if key.startswith(dataset_prefix(name))), key=len, default=None)


def version_digest(*parts: str) -> str:
    """12 hex digits that name a version's files: SHA-256 over its parts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def data_key(dataset: str, partition: str, object_id: str, version: str, number: int) -> str:
    """A data file's key. `partition` is its Hive path, `order_date=2025-01-01`, or empty."""
    folder = f"{dataset}/{partition}/" if partition else f"{dataset}/"
    return f"{folder}{object_id[:20]}-{version}-{number}.parquet"


def quarantine_prefix(dataset: str) -> str:
    """Where a dataset's quarantine files are."""
    return f"{QUARANTINE}{dataset}/"


def quarantine_key(dataset: str, object_id: str, version: str) -> str:
    """The file that holds the rows of one object that broke the contract."""
    return f"{quarantine_prefix(dataset)}{object_id[:20]}-{version}.parquet"


def owner_of(key: str) -> str | None:
    """The first 20 digits of the id of the object that a data or quarantine file comes from; None for other keys."""
    match = _DATA_NAME.fullmatch(key.rpartition("/")[2])
    return match["object"] if match else None


def commit_prefix(dataset: str) -> str:
    """Where a dataset's commit records are."""
    return f"{COMMITS}{dataset}/"


def commit_key(dataset: str, object_id: str) -> str:
    """The commit record of one object."""
    return f"{commit_prefix(dataset)}{object_id}.json"


def content_prefix(dataset: str) -> str:
    """Where a dataset's content markers are."""
    return f"{CONTENT}{dataset}/"


def content_key(dataset: str, content_sha256: str) -> str:
    """The marker that says under which key these bytes were loaded first."""
    return f"{content_prefix(dataset)}{content_sha256}.json"


def damaged_key(dataset: str, object_id: str, suffix: str) -> str:
    """Where a repair puts a commit record that cannot be read."""
    return f"{DAMAGED}{dataset}/{object_id}-{suffix}.json"


def damaged_prefix(dataset: str, object_id: str) -> str:
    """What the set-aside records of an object begin with."""
    return f"{DAMAGED}{dataset}/{object_id}-"


def deletion_prefix(dataset: str, object_id: str = "") -> str:
    """Where the records of a dataset's deletions are, or those of one object."""
    return f"{DELETIONS}{dataset}/" + (f"{object_id}-" if object_id else "")


def deletion_key(dataset: str, object_id: str, suffix: str) -> str:
    """The record of one deletion of an object."""
    return f"{deletion_prefix(dataset, object_id)}{suffix}.json"


def is_source(key: str) -> bool:
    """Whether a raw object is a file to load: a .csv or .csv.gz, without a hidden name (`.` or `_`) in its path."""
    hidden = any(segment.startswith((".", "_")) for segment in key.split("/"))
    return key.lower().endswith((".csv", ".csv.gz")) and not hidden
