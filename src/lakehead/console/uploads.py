"""Files that are sent to the raw zone: streamed to a file on the lake's disk, then published as by `lakehead put`."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from lakehead.console.context import Console
from lakehead.console.faults import Refused
from lakehead.lake import Lake
from lakehead.landing import check_name, dataset_named
from lakehead.model import utc_now
from lakehead.results import Landed
from lakehead.storage import layout
from lakehead.storage.disk import create, explained
from lakehead.storage.keys import check_key

STAGING = "upload-"
CHUNK = 1 << 20
"""Bytes that are gathered before they are written."""
IDLE_SECONDS = 60.0
"""How long a sender may send nothing."""
LEFT_ALONE = timedelta(hours=1)
"""After this time without a byte a file that is being received is no longer."""
AT_A_TIME = 4
"""How many files are received at the same time."""


async def receive(
    console: Console, request: Request, *, dataset: str, filename: str, ingest_date: date | None = None
) -> Landed:
    """Land a file, and tell the execution that loads it.

    A file of the same name and day is replaced. The file is there whole once this answers, and not at all where it
    fails.
    """
    lake = console.lake
    day = ingest_date or utc_now().date()
    await run_in_threadpool(_check, lake, dataset, filename, day)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "UnsupportedMediaType", "a file is sent as it is", hint="Name it .csv.gz instead.")
    limit = lake.config.upload_bytes
    if _announced(request) > limit:
        raise _too_large(limit)
    with console.uploads.taken(), _staging(lake) as folder:
        path = folder / filename
        with explained(lake.config.raw_bucket, path=path):
            await _write(request, path, limit)
        return await run_in_threadpool(lake.land, path, dataset=dataset, ingest_date=day)


def remove_leftovers(lake: Lake) -> None:
    """Remove what a console that was killed had received of files.

    What was written to lately stays: another lake of this machine may share the bucket.
    """
    for path in lake.store.stale_staging(lake.config.raw_bucket, LEFT_ALONE):
        if path.name.startswith(STAGING):
            shutil.rmtree(path, ignore_errors=True)


def _check(lake: Lake, dataset: str, filename: str, day: date) -> None:
    dataset_named(lake.contracts, dataset)
    check_key(lake.config.raw_bucket, layout.raw_key(dataset, day, check_name(filename)))


@contextmanager
def _staging(lake: Lake) -> Iterator[Path]:
    folder = lake.store.staging_dir(lake.config.raw_bucket, STAGING + uuid.uuid4().hex)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _write(request: Request, path: Path, limit: int) -> None:
    """What is sent, as a file. Publishing it fsyncs it."""
    stream = create(path)
    try:
        gathered, size = bytearray(), 0
        chunks = request.stream().__aiter__()
        while True:
            chunk = await _next(chunks)
            if chunk is None:
                break
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            gathered += chunk
            if len(gathered) >= CHUNK:
                await run_in_threadpool(stream.write, bytes(gathered))
                gathered.clear()
        await run_in_threadpool(_finish, stream, bytes(gathered))
    finally:
        stream.close()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    """The next bytes; None at the end. Raises Refused where they do not come."""
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            return await anext(chunks, None)
    except TimeoutError as error:
        raise Refused(408, "Timeout", f"nothing was sent for {IDLE_SECONDS:g} s") from error


def _finish(stream: BinaryIO, rest: bytes) -> None:
    stream.write(rest)
    stream.close()


def _announced(request: Request) -> int:
    """The size that the sender states; 0 where it states none."""
    stated = request.headers.get("content-length", "")
    return int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 20 else 0


def _too_large(limit: int) -> Refused:
    hint = "Land it with `lakehead put`, or raise upload_bytes."
    return Refused(413, "TooLarge", f"a file that is sent has at most {limit:,} bytes", hint=hint)
