"""The ground of a Spark whose tasks do not see this process's disk: a prefix of a bucket that both reach."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from lakehead.errors import LakeheadError
from lakehead.etl.spark.ground import Ground, OpenGround
from lakehead.storage import layout
from lakehead.storage.base import ObjectStore

_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")

REQUESTS = 8
"""How many objects are fetched or deleted at a time; on a cluster, every worker is paid for while the driver does."""


def bucket_ground(store: ObjectStore, bucket: str, attempt: str, *, scheme: str = "s3://") -> OpenGround:
    """Exchange files below a prefix of their own in `_lakehead/staging/<attempt>/`, which is emptied afterwards.

    A second load of the same attempt finds nothing of the first, also where emptying failed.

    What this process read and checked is uploaded, and what Spark wrote is downloaded, so Spark reads exactly the bytes
    that were looked at, and publishing is the same as everywhere. `scheme` begins the URIs that Spark is given: `s3://`
    on Glue, `s3a://` on a Spark with hadoop-aws.
    """

    def opened(_work: Path, _scratch: Path) -> AbstractContextManager[Ground]:
        return _opened(store, bucket, f"{layout.SYSTEM}staging/{attempt}/", f"{scheme}{bucket}/")

    return opened


@contextmanager
def _opened(store: ObjectStore, bucket: str, prefix: str, root: str) -> Iterator[Ground]:
    try:
        yield _BucketGround(store, bucket, f"{prefix}{uuid.uuid4().hex}/", root)
    finally:
        try:
            keys = [info.key for info in store.list(bucket, prefix)]
            _at_once(lambda key: store.delete(bucket, key), keys)
        except LakeheadError as error:
            # Names below _lakehead/ are invisible, and the bucket's lifecycle removes what stays.
            _log.warning("staged objects were left behind: %s", error)


class _BucketGround:
    def __init__(self, store: ObjectStore, bucket: str, prefix: str, root: str) -> None:
        self._store, self._bucket, self._prefix, self._root = store, bucket, prefix, root
        self._inputs = 0

    def readable(self, file: Path) -> str:
        self._inputs += 1
        key = f"{self._prefix}input-{self._inputs}"
        self._store.put_file(self._bucket, key, file)
        return self._root + key

    def writable(self, folder: str) -> str:
        return f"{self._root}{self._prefix}{folder}"

    def written(self, folder: str) -> list[str]:
        prefix = f"{self._prefix}{folder}/"
        keys = (info.key.removeprefix(prefix) for info in self._store.list(self._bucket, prefix))
        return sorted(key for key in keys if key.endswith(".parquet"))

    def take(self, folder: str, files: Sequence[tuple[str, Path]]) -> None:
        def fetch(wanted: tuple[str, Path]) -> None:
            written, target = wanted
            target.parent.mkdir(parents=True, exist_ok=True)
            key = f"{self._prefix}{folder}/{written}"
            with self._store.open(self._bucket, key) as source, target.open("xb") as file:
                shutil.copyfileobj(source, file, 1 << 20)

        _at_once(fetch, files)


def _at_once(do: Callable[[_Item], None], items: Iterable[_Item]) -> None:
    """Do all, some at a time. Raises the first error, when those begun have ended."""
    with ThreadPoolExecutor(REQUESTS) as pool:
        try:
            for _ in pool.map(do, items):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
