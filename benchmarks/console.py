"""`make bench-console`: times every page and every list of the real console over HTTP, on a big lake.

    python -m benchmarks.console [--lake DIR] [--executions N] [--rounds N] [--json FILE]

The lake (see `benchmarks.biglake`) is made once and kept in DIR. `lakehead up` serves it. Pages and lists are found in
the console's own tables of routes; one whose path holds a name that is not in EXAMPLES is told of. Cold is the first
answer, with the lake's files dropped from the machine's cache; warm are the others.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode, urljoin

import httpx

from benchmarks.biglake import DATASET, Size, ensure
from lakehead.config import LakeConfig, load_config
from lakehead.console import api, pages
from lakehead.console.address import running_console
from lakehead.console.launch import token_of
from lakehead.errors import ConfigError
from lakehead.lake import Lake

LIMIT_SECONDS = 0.1
FIRST_LOAD_BYTES = 200_000
LIVE_SECONDS = 0.3
START_SECONDS = 120.0


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one address."""

    address: str
    cold: float
    median: float
    p95: float
    bytes: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console")
    kept = Path(tempfile.gettempdir()) / "lakehead-bench-console"
    parser.add_argument("--lake", type=Path, default=kept, help="where the lake is kept [%(default)s]")
    parser.add_argument("--executions", type=int, default=Size.executions, help="of the lake; the rest goes with it")
    parser.add_argument("--rounds", type=int, default=20, help="how often each page is asked for")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    ensure(options.lake, _size(options.executions))
    config = load_config(options.lake / "lake", env="dev")
    examples = _examples(config)
    _forget_cached(options.lake)
    with _served(config) as client:
        addresses = list(_addresses({**examples, "query": _asked(client)}))
        timings = [_timed(client, address, options.rounds) for address in addresses]
        first = _first_load(client)
        live = [_live_seconds(client, examples["key"]) for _ in range(5)]
    _print(timings, first, live)
    if options.json:
        figures = {"pages": [asdict(one) for one in timings], "first_load_bytes": first, "live_seconds": live}
        options.json.write_text(json.dumps(figures, indent=1))
    slow = [one.address for one in timings if one.median > LIMIT_SECONDS * 1000]
    return 1 if slow or first > FIRST_LOAD_BYTES or statistics.median(live) > LIVE_SECONDS else 0


def _size(executions: int) -> Size:
    whole = Size()
    share = executions / whole.executions
    return Size(**{name: max(1, round(value * share)) for name, value in vars(whole).items()})


# What to ask for


def _examples(config: LakeConfig) -> dict[str, str]:
    """A value for each name in a path, and for the parameters of VARIANTS."""
    with Lake.open(config) as lake:
        run = next(run for run in lake.runs(status="SUCCEEDED", limit=200) if len(lake.run_timeline(run.name)) > 5)
        failed = next(run for run in lake.runs(status="FAILED", limit=200) if len(lake.run_timeline(run.name)) > 5)
        (most, *_), files = lake.quarantine_reasons(DATASET), lake.quarantine_files(limit=50)
        paths = lake.partitions("processed_orders", 5_000)
        middle = lake.journal.clock() - timedelta(days=15)
        return {
            "name": run.name,
            "failed": failed.name,
            "dataset": DATASET,
            "table": "processed_orders",
            "key": run.key,
            "number": "5",
            "reason": most.reason,
            "bad": files[-1].key,
            "partition": paths[-1].path,
            "middle": middle.strftime("%Y-%m-%dT%H:%MZ"),
            "after": lake.runs(until=middle, limit=1)[0].name,
        }


VARIANTS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "/": ({"window": "86400"},),
    "/runs": (
        {"status": "FAILED"},
        {"dataset": "dataset", "status": "SUCCEEDED"},
        {"key": "key"},
        {"until": "middle", "dataset": "dataset", "status": "FAILED"},
        {"after": "after"},
    ),
    "/runs/{name}": tuple({"tab": tab} for tab in ("input", "logs", "rows")),
    "/datasets/{name:path}": tuple({"tab": tab} for tab in ("partitions", "sample", "crawls", "document")),
    "/quarantine": ({"reason": "reason"}, {"key": "bad"}, {"offset": "500000"}),
    f"{api.PREFIX}/overview": ({"window_seconds": "604800"},),
    f"{api.PREFIX}/runs": ({"status": "FAILED", "dataset": "dataset"}, {"after": "after"}),
    f"{api.PREFIX}/tables/{{table}}/partitions": ({"after": "partition"},),
    f"{api.PREFIX}/quarantine/files": ({"reason": "reason"}, {"after": "bad"}),
    f"{api.PREFIX}/quarantine/rows": ({"reason": "reason"}, {"key": "bad"}, {"offset": "900000"}),
}
"""Other questions to a place: the value of a parameter is an example's, where it is the name of one."""


def _addresses(examples: Mapping[str, str]) -> Iterator[str]:
    """Every page and every list of the API, as addresses."""
    places = [(route.path, {}) for route in pages.routes if "GET" in route.methods]
    for endpoint in api.ENDPOINTS:
        if endpoint.method == "GET":
            wanted = {one.name: one.name for one in endpoint.parameters if one.required and one.place == "query"}
            places.append((api.PREFIX + endpoint.path, wanted))
    for path, wanted in places:
        for variant in ({}, *VARIANTS.get(path, ())):
            parameters = {name: examples.get(value, value) for name, value in {**wanted, **variant}.items()}
            filled = _filled(path, examples)
            if filled is None:
                print(f"left out, for no example fits: {path}")
                break
            yield filled + (f"?{urlencode(parameters)}" if parameters else "")


def _filled(path: str, examples: Mapping[str, str]) -> str | None:
    """A path with its names filled in. `{name}` is a run's, but a dataset's below /datasets."""
    local = {**examples, "name": examples["dataset"] if "/datasets" in path else examples["name"]}
    names = re.findall(r"\{(\w+)(?::\w+)?\}", path)
    if not all(name in local for name in names):
        return None
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: quote(local[found[1]]), path)


# The server


@contextmanager
def _served(config: LakeConfig) -> Iterator[httpx.Client]:
    """`lakehead up` on the lake, and a client that has its token."""
    command = [sys.executable, "-m", "lakehead", "--lake", str(config.root), "up", "--console-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = _address(config, process)
        headers = {"Authorization": f"Bearer {token_of(config.state_dir)}", "Accept-Encoding": "gzip"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            yield client
    finally:
        process.terminate()
        process.wait(60)


def _address(config: LakeConfig, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            return running_console(config).url
        except ConfigError:
            time.sleep(0.05)
    raise SystemExit("the console did not start")


def _forget_cached(root: Path) -> None:
    """Drop the lake's files from the machine's cache."""
    for path in root.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


# Timing


def _timed(client: httpx.Client, address: str, rounds: int) -> Timing:
    seconds, size = [], 0
    for _ in range(rounds + 1):
        started = time.perf_counter()
        with client.stream("GET", address) as answer:
            size = sum(len(chunk) for chunk in answer.iter_raw())
        seconds.append((time.perf_counter() - started) * 1000)
        if answer.status_code >= 400:
            raise SystemExit(f"{address} answers {answer.status_code}")
    cold, *warm = seconds
    p95 = statistics.quantiles(warm, n=20)[-1] if len(warm) > 1 else warm[0]
    return Timing(address, cold, statistics.median(warm), p95, size)


def _asked(client: httpx.Client) -> str:
    """The id of a query that was answered over all partitions."""
    sql = (
        "SELECT order_date, sum(total_amount) AS revenue FROM processed_orders GROUP BY order_date ORDER BY order_date"
    )
    started = time.perf_counter()
    query = client.post(f"{api.PREFIX}/queries", json={"sql": sql}).raise_for_status().json()
    while query["status"] == "RUNNING":
        time.sleep(0.02)
        query = client.get(f"{api.PREFIX}/queries/{query['id']}").json()
    if query["status"] != "SUCCEEDED":
        raise SystemExit(f"the query failed: {query}")
    print(f"a query over {query['files']:,} files took {time.perf_counter() - started:.1f} s")
    return str(query["id"])


def _first_load(client: httpx.Client) -> int:
    """Compressed bytes of the first page, with its scripts, styles and pictures."""
    page = client.get("/")
    links = {urljoin("/", link) for link in re.findall(r'(?:src|href)="([^"#]*static[^"]*)"', page.text)}
    return sum(_raw_bytes(client, address) for address in ("/", *sorted(links)))


def _raw_bytes(client: httpx.Client, address: str) -> int:
    with client.stream("GET", address) as answer:
        return sum(len(chunk) for chunk in answer.iter_raw())


def _live_seconds(client: httpx.Client, key: str) -> float:
    """Seconds from the start of an execution to the event that tells browsers of it."""
    with client.stream("GET", "/live", headers={"Accept": "text/event-stream", "Accept-Encoding": "identity"}) as live:
        events = live.iter_lines()
        next(events)
        client.post(f"{api.PREFIX}/replays", json={"key": key}).raise_for_status()
        for line in events:
            if line.startswith("data:") and (names := json.loads(line[5:]).get("runs")):
                told = datetime.now(UTC)
                run = client.get(f"{api.PREFIX}/runs/{names[0]}").json()["summary"]
                return (told - datetime.fromisoformat(run["started"])).total_seconds()
    raise SystemExit("the live stream ended")


def _print(timings: list[Timing], first: int, live: list[float]) -> None:
    width = max(len(one.address) for one in timings)
    print(f"{'':<{width}} {'cold':>9} {'median':>9} {'p95':>9} {'bytes':>10}")
    for one in timings:
        late = "  over 100 ms" if one.median > LIMIT_SECONDS * 1000 else ""
        took = " ".join(f"{value:6.1f} ms" for value in (one.cold, one.median, one.p95))
        print(f"{one.address:<{width}} {took} {one.bytes:>10,}{late}")
    print(f"\nfirst load, compressed: {first:,} bytes (at most {FIRST_LOAD_BYTES:,})")
    print(f"start of an execution to its live event: {statistics.median(live) * 1000:.0f} ms")


if __name__ == "__main__":
    sys.exit(main())
