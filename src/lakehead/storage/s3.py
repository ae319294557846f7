"""S3, or any service that speaks its protocol, through boto3 (the `aws` extra)."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from lakehead.errors import ConfigError, LakeheadError
from lakehead.private import FOLDER_MODE, own_folder
from lakehead.storage.base import Move, ObjectInfo, Put
from lakehead.storage.disk import explained
from lakehead.storage.keys import check_attempt, check_bucket, check_key
from lakehead.storage.s3_errors import translated

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
ATTEMPTS = 5
UPLOADS = 8
PAGE = 1000
BUFFER = 1 << 20
_REGION = "us-east-1"


class S3Store:
    """Buckets in S3. Conditional puts need a service that knows If-None-Match and If-Match (S3 since 2024, MinIO, ...).

    S3 tells an object's sequencer only in events. `head` and `list` give the time of the last change instead, in the
    shape that S3's sequencers have (two digits, then seconds; seen, not documented), so that both can be compared. Two
    versions of one second have the same. lock() keeps nobody out.

    Credentials come from where boto3 looks for them. Every call is bounded: `attempts` tries of `connect_seconds` and
    `read_seconds` each.
    """

    excludes = False
    etag_is_sha256 = False

    def __init__(
        self,
        *,
        endpoint_url: str = "",
        region: str = "",
        profile: str = "",
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        attempts: int = ATTEMPTS,
        staging: Path | None = None,
    ) -> None:
        self._endpoint_url, self._region, self._profile = endpoint_url, region, profile
        self._connect_seconds, self._read_seconds, self._attempts = connect_seconds, read_seconds, attempts
        # Everybody may write to the folder of temporary files, so this one is looked at before it is used.
        self._staging = staging or Path(tempfile.gettempdir()) / f"lakehead-staging-{os.getuid()}"

    def head(self, bucket: str, key: str, *, version_id: str = "") -> ObjectInfo:
        """The object's information."""
        arguments = _target(bucket, key, version_id)
        with translated(bucket, key, version_id=version_id):
            found = self._client.head_object(**arguments)
        return _info(bucket, key, found, size=found["ContentLength"])

    def list(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """The bucket's objects in the order of their keys, a thousand in memory at a time."""
        pages = self._client.get_paginator("list_objects_v2")
        with translated(bucket):
            asked: dict[str, Any] = {"Bucket": check_bucket(bucket), "Prefix": prefix, "StartAfter": start_after}
            for page in pages.paginate(**asked, PaginationConfig={"PageSize": PAGE}):
                for found in page.get("Contents", ()):
                    yield _info(bucket, found["Key"], found, size=found["Size"])

    def get(self, bucket: str, key: str, *, version_id: str = "") -> bytes:
        """The whole object."""
        with self.open(bucket, key, version_id=version_id) as stream, translated(bucket, key):
            return stream.read()

    def get_with_etag(self, bucket: str, key: str) -> tuple[bytes, str]:
        """The whole object and its etag."""
        with translated(bucket, key):
            answer = self._client.get_object(**_target(bucket, key))
            with contextlib.closing(answer["Body"]) as body:
                return body.read(), _etag(answer)

    def get_tail(self, bucket: str, key: str, length: int) -> bytes:
        """The object's last bytes."""
        with translated(bucket, key):
            if not self._client.head_object(**_target(bucket, key))["ContentLength"]:
                return b""
            answer = self._client.get_object(**_target(bucket, key), Range=f"bytes=-{length}")
            with contextlib.closing(answer["Body"]) as body:
                return body.read()

    def open(self, bucket: str, key: str, *, version_id: str = "", if_match: str = "") -> BinaryIO:
        """The object as a stream; botocore's errors while reading are translated like all others."""
        condition: dict[str, Any] = {"IfMatch": if_match} if if_match else {}
        with translated(bucket, key, version_id=version_id):
            answer = self._client.get_object(**_target(bucket, key, version_id), **condition)
        return cast(BinaryIO, io.BufferedReader(_Body(answer["Body"], bucket, key), BUFFER))

    def local_path(self, bucket: str, key: str) -> Path | None:
        """None: an S3 object has no file."""
        check_key(bucket, key)
        return None

    def staging_dir(self, bucket: str, attempt: str) -> Path:
        """A directory of this machine, empty."""
        path = self._staging / check_bucket(bucket) / check_attempt(attempt)
        for folder in (self._staging, path.parent):
            own_folder(folder)
        with explained(bucket, path=path):
            if path.exists():
                shutil.rmtree(path)
            path.mkdir(mode=FOLDER_MODE)
        return path

    def strays(self, bucket: str) -> Sequence[tuple[Path, str]]:
        """None: every object of S3 has a key."""
        del bucket
        return ()

    def stale_staging(self, bucket: str, older_than: timedelta) -> Iterator[Path]:
        """Staging directories of this machine that nobody has touched for `older_than`."""
        before = time.time() - older_than.total_seconds()
        folder = self._staging / check_bucket(bucket)
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if max(found.lstat().st_mtime for found in (path, *path.rglob("*"))) <= before:
                yield path

    def put(
        self,
        bucket: str,
        key: str,
        data: bytes,
        *,
        if_none_match: bool = False,
        if_match: str = "",
        durable: bool = True,
    ) -> ObjectInfo:
        """Write bytes as an object; always durable."""
        del durable
        conditions: dict[str, Any] = {"IfNoneMatch": "*"} if if_none_match else {}
        if if_match:
            conditions["IfMatch"] = if_match
        with translated(bucket, key, conditional=bool(conditions)):
            self._client.put_object(**_target(bucket, key), Body=data, **conditions)
        return self.head(bucket, key)

    def put_file(self, bucket: str, key: str, source: Path, *, move: bool = False) -> ObjectInfo:
        """Upload a file, in parts where it is large; with `move` it is removed afterwards."""
        target = _target(bucket, key)
        with translated(bucket, key):
            self._client.upload_file(str(source), target["Bucket"], target["Key"])
        if move:
            source.unlink()
        return self.head(bucket, key)

    def put_all(self, bucket: str, puts: Sequence[Put]) -> Sequence[LakeheadError | None]:
        """Write many objects, some of them at a time."""

        def write(put: Put) -> LakeheadError | None:
            try:
                self.put(bucket, put.key, put.data, if_none_match=not put.if_match, if_match=put.if_match)
            except LakeheadError as error:
                return error
            return None

        with ThreadPoolExecutor(UPLOADS) as pool:
            return list(pool.map(write, puts))

    def make_durable(self, bucket: str, keys: Sequence[str]) -> None:
        """Nothing: an object that can be read lasts."""
        del bucket, keys

    def move_files(self, bucket: str, moves: Sequence[Move]) -> Sequence[LakeheadError | None]:
        """Upload many files, some of them at a time."""

        def upload(move: Move) -> LakeheadError | None:
            try:
                self.put_file(bucket, move.key, move.source, move=True)
            except LakeheadError as error:
                return error
            return None

        with ThreadPoolExecutor(UPLOADS) as pool:
            return list(pool.map(upload, moves))

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object (in a bucket with versions: its current one)."""
        with translated(bucket, key):
            self._client.delete_object(**_target(bucket, key))

    def purge(self, bucket: str, key: str, *, keep_newest: bool = False, until: datetime | None = None) -> None:
        """Remove every version of an object, and what marks it as deleted."""
        pages = self._client.get_paginator("list_object_versions")
        with translated(bucket, key):
            for page in pages.paginate(Bucket=check_bucket(bucket), Prefix=check_key(bucket, key)):
                for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                    if found["Key"] != key or (keep_newest and found["IsLatest"]):
                        continue
                    if until is None or found["LastModified"] <= until:
                        self._client.delete_object(Bucket=bucket, Key=key, VersionId=found["VersionId"])

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket in the client's region."""
        region = self._client.meta.region_name
        arguments: dict[str, Any] = {"Bucket": check_bucket(bucket)}
        if region not in ("us-east-1", "aws-global"):
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
        with contextlib.suppress(self._client.exceptions.BucketAlreadyOwnedByYou), translated(bucket, passing=_OWNED):
            self._client.create_bucket(**arguments)

    def lock(self, bucket: str, *names: str) -> contextlib.AbstractContextManager[None]:
        """Nothing: S3 has no locks."""
        del bucket, names
        return contextlib.nullcontext()

    def try_lock(self, bucket: str, *names: str) -> contextlib.AbstractContextManager[frozenset[str]]:
        """Nothing keeps anybody out, so all are free."""
        del bucket
        return contextlib.nullcontext(frozenset(names))

    def uri(self, bucket: str, key: str) -> str:
        """The object's s3:// address."""
        return f"s3://{bucket}/{key}"

    def environment(self) -> dict[str, str]:
        """The variables by which another process, which may read no file, opens this store: credentials of this moment.

        Raises ConfigError where there are none.
        """
        with translated(""):
            from botocore.exceptions import NoCredentialsError

            held = self._session.get_credentials()
            if held is None:
                raise NoCredentialsError
            found = held.get_frozen_credentials()
        return {
            **{name: os.environ[name] for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3") if name in os.environ},
            "AWS_ACCESS_KEY_ID": found.access_key or "",
            "AWS_SECRET_ACCESS_KEY": found.secret_key or "",
            **({"AWS_SESSION_TOKEN": found.token} if found.token else {}),
            "AWS_DEFAULT_REGION": self._session.region_name or _REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @cached_property
    def _session(self) -> Session:
        try:
            import boto3
        except ImportError as error:
            raise ConfigError(
                "S3 needs boto3, which is not installed", hint='Run: pip install "lakehead[aws]"'
            ) from error
        with translated(""):
            return boto3.Session(profile_name=self._profile or None, region_name=self._region or None)

    @cached_property
    def _client(self) -> S3Client:
        session = self._session
        from botocore.config import Config

        config = Config(
            connect_timeout=self._connect_seconds,
            read_timeout=self._read_seconds,
            retries={"mode": "standard", "total_max_attempts": self._attempts},
            s3={"addressing_style": "path"} if self._endpoint_url else {},
        )
        with translated(""):
            return session.client(
                "s3",
                config=config,
                endpoint_url=self._endpoint_url or None,
                region_name=session.region_name or _REGION,
            )


class _Body(io.RawIOBase):
    """An object's bytes on their way; what goes wrong on it is told as everywhere."""

    def __init__(self, body: Any, bucket: str, key: str) -> None:
        self._body, self._bucket, self._key = body, bucket, key

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with translated(self._bucket, self._key):
            data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


_OWNED = ("BucketAlreadyOwnedByYou",)


def _target(bucket: str, key: str, version_id: str = "") -> dict[str, Any]:
    version = {"VersionId": version_id} if version_id else {}
    return {"Bucket": check_bucket(bucket), "Key": check_key(bucket, key), **version}


def _etag(answer: Mapping[str, Any]) -> str:
    return str(answer["ETag"]).strip('"')


def _info(bucket: str, key: str, found: Mapping[str, Any], *, size: int) -> ObjectInfo:
    modified: datetime = found["LastModified"].astimezone(UTC)
    sequencer = f"00{int(modified.timestamp()):08X}{(modified.microsecond << 32) // 1_000_000:08X}"
    return ObjectInfo(
        bucket,
        key,
        size=size,
        last_modified=modified,
        fingerprint=f"{_etag(found)}-{size}-{sequencer}",
        landing=sequencer,
        etag=_etag(found),
        sequencer=sequencer,
        version_id=_version(found),
    )


def _version(found: Mapping[str, Any]) -> str:
    version = str(found.get("VersionId") or "")
    return "" if version == "null" else version
