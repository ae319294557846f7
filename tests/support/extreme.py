"""Extreme files, and what a load of one costs: `python -m support.extreme NAME FOLDER` loads one in a new process.

Prints one JSON line: how the load ended, and the most memory that the process had.
"""

from __future__ import annotations

import gzip
import json
import logging
import resource
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lakehead.errors import SourceError
from lakehead.etl.base import JobRequest
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.etl.job import run_job
from lakehead.model import ObjectVersion
from support.pollution import HEADER
from support.verdicts import Bench

MB = 1 << 20
LINE = b"481516,K00x Miller,1,19.90,urgent,2025-01-01\n"
HEAD = HEADER.encode() + b"\n"
MEMORY_LIMIT = "256MB"
ADDRESS_SPACE = 6 << 30
"""A load that would want more fails, whatever the machine has."""


def lines(count: int, line: bytes = LINE) -> Iterator[bytes]:
    block = line * 10_000
    for _ in range(count // 10_000):
        yield block


def packed(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=31)
    for part in parts:
        yield packer.compress(part)
    yield packer.flush()


def zeros(megabytes: int) -> Iterator[bytes]:
    return (b"0" * MB for _ in range(megabytes))


def field_of(size: int) -> Iterator[bytes]:
    yield HEAD + LINE + b"481517,K01x "
    yield from (b"x" * MB for _ in range(size // MB))
    yield b",1,19.90,urgent,2025-01-01\n" + LINE


def quoted_field_of(size: int) -> Iterator[bytes]:
    yield HEAD + LINE + b'481517,"K01x '
    yield from (b'""\n' * (MB // 3) for _ in range(size // MB))
    yield b'",1,19.90,urgent,2025-01-01\n' + LINE


CASES: dict[str, Callable[[], Iterable[bytes]]] = {
    "a field of 900 kB": lambda: [HEAD, LINE, b"481517,K01x " + b"x" * 900_000 + b",1,19.90,urgent,2025-01-01\n"],
    "a field of 4 MB": lambda: field_of(4 * MB),
    "a field of 100 MB": lambda: field_of(100 * MB),
    "a quoted field of 900 kB, all quotes": lambda: [
        HEAD, b'481517,"K01x ' + b'""' * 450_000 + b'",1,19.90,urgent,2025-01-01\n', LINE,
    ],
    "a quoted field of 2 MB in lines": lambda: quoted_field_of(2 * MB),
    "no line end in 200 MB": lambda: zeros(200),
    "only line ends, 10 MB": lambda: (b"\n" * MB for _ in range(10)),
    "only carriage returns, 10 MB": lambda: (b"\r" * MB for _ in range(10)),
    "1,000,000 rows of delimiters": lambda: [HEAD, *lines(1_000_000, b",,,,,\n")],
    "only quotes, 7 MB in a line": lambda: [HEAD, LINE, b'"' * (7 * MB), b"\n", LINE],
    "500,000 rows of quotes": lambda: [HEAD, LINE, *lines(500_000, b'"""\n')],
    "an open quote before 500,000 rows": lambda: [HEAD, b'481517,"K01x,1,19.90,urgent,2025-01-01\n', *lines(500_000)],
    "an open quote in each of 300,000 rows": lambda: [HEAD, *lines(300_000, LINE.replace(b"K00x", b'"K00x')), LINE],
    "500,000 rows too short": lambda: [HEAD, *lines(500_000, b"481516,K00x\n"), LINE],
    "500,000 rows of wrong values": lambda: [HEAD, *lines(500_000, LINE.replace(b"19.90", b"x")), LINE],
    "a header of 100,000 columns": lambda: [b",".join(b"c%d" % n for n in range(100_000)), b"\n", LINE],
    "a row of 1,000,000 fields": lambda: [HEAD, LINE, b"," * 1_000_000, b"\n", LINE],
    "a bomb of 10 GB": lambda: [b"".join(packed(zeros(128))) * 80],
    "a bomb behind good rows": lambda: [*packed([HEAD, *lines(50_000)]), *[b"".join(packed(zeros(128))) * 16]],
    "a bomb of lines": lambda: packed([HEAD, *lines(5_000_000)]),
    "an archive of 400,000 empty members": lambda: [gzip.compress(b"", mtime=0) * 400_000],
    "an archive with a name of 50 MB": lambda: [b"\x1f\x8b\x08\x08" + bytes(6), *(b"n" * MB for _ in range(50))],
    "an archive in an archive, ten deep": lambda: [nested(10)],
}  # fmt: skip


def nested(depth: int) -> bytes:
    data = b"".join(packed(zeros(100)))
    for _ in range(depth):
        data = gzip.compress(data, mtime=0)
    return data


def is_archive(name: str) -> bool:
    return "bomb" in name or "archive" in name


def load(name: str, folder: Path) -> dict[str, object]:
    """Write the file, load it, and tell how that ended and what it cost."""
    logging.disable(logging.CRITICAL)
    bench = Bench(folder, DuckDBEngine(memory_limit=MEMORY_LIMIT))
    contract = bench.contract(())
    key = f"{contract.dataset}/file.csv" + (".gz" if is_archive(name) else "")
    path = folder / "data" / "raw" / key
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for part in CASES[name]():
            file.write(part)
    bench.load(f"{contract.dataset}/warm.csv", HEAD + LINE, contract)
    before, clock = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    request = JobRequest(contract.dataset, ObjectVersion("raw", key), "execution", "attempt")
    try:
        record = run_job(
            request,
            contract=contract,
            engine=bench.engine,
            raw=bench.store,
            processed=bench.store,
            processed_bucket="processed",
        ).record
        ended: dict[str, object] = {"rows": record.rows_committed, "quarantined": record.rows_quarantined}
    except SourceError as error:
        ended = {"error": type(error).__name__, "line": error.where.get("line"), "hint": error.hint}
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {**ended, "seconds": time.monotonic() - clock, "cpu": cpu, "peak_mb": used.ru_maxrss / 1024}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    sys.stdout.write(json.dumps(load(sys.argv[1], Path(sys.argv[2]))) + "\n")
