"""What a lake must hold, computed from the raw bytes by other means than Lakehead's: csv, Decimal, SQL on its files.

Nothing here imports Lakehead. `problems` compares a lake that is at rest with what its raw zone says; the answer is
a list of sentences, empty where all is well.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import duckdb

RAW = "data/sales-datalake-raw-dev"
PROCESSED = "data/sales-datalake-processed-dev"
STATE = ".lakehead/dev"
DATASET = "sales/orders"
RECORDS = f"_lakehead/commits/{DATASET}"
EXACT_ROWS = 10_000
"""Up to so many rows a lake's rows are compared one by one, not only by their sums."""

Row: TypeAlias = tuple[str, ...]
Sums: TypeAlias = tuple[int, int, Decimal, Decimal]
"""Rows, and the sums of quantity, price and total_amount."""

_INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class Expected:
    """What one file must become."""

    read: int
    bad_lines: tuple[int, ...]
    rows: tuple[Row, ...]
    days: Mapping[str, Sums]

    @property
    def committed(self) -> int:
        """How many rows fit the contract."""
        return self.read - len(self.bad_lines)


# What the contracts say, said again ---------------------------------------------------------------------------------


def _decimal(text: str, scale: int) -> Decimal | None:
    if not re.fullmatch(rf"[+-]?[0-9]+(\.[0-9]{{0,{scale}}})?", text):
        return None
    return Decimal(text)


def _order(fields: list[str], least: int) -> Row | None:
    """A row of the sales contract as stored; None where it breaks the contract."""
    if len(fields) != 6:
        return None
    number, customer, product, quantity, price, day = (field.strip() for field in fields)
    worth = _decimal(price, 2)
    if not (_INTEGER.fullmatch(number) and customer and product and _INTEGER.fullmatch(quantity)):
        return None
    if worth is None or worth < least:
        return None
    try:
        if date.fromisoformat(day) < date(2000, 1, 1):
            return None
    except ValueError:
        return None
    total = int(quantity) * worth
    return str(int(number)), customer, product, str(int(quantity)), f"{worth:.2f}", day, f"{total:.2f}"


def _invoice(fields: list[str], least: int) -> Row | None:
    """A row of the retail contract: number, customer, product, quantity, price, day, total."""
    number, stock, product, quantity, time, price, customer, _ = (field.strip() for field in fields)
    worth = _decimal(price, 3)
    if not (number and stock and customer and _INTEGER.fullmatch(quantity)) or worth is None or worth < least:
        return None
    day = datetime.strptime(time, "%Y-%m-%d %H:%M:%S").date().isoformat()  # noqa: DTZ007 (only its day counts)
    total = int(quantity) * worth
    return number, customer, product, str(int(quantity)), f"{worth:.3f}", day, f"{total:.3f}"


CONTRACTS: Mapping[str, Callable[[list[str], int], Row | None]] = {"order_id": _order, "InvoiceNo": _invoice}
"""By the first column's name."""


@cache
def expected(data: bytes, least: int = 0) -> Expected:
    """What a file of these bytes must become, where the contract asks for a price of `least` or more."""
    reader = csv.reader(io.StringIO(data.decode(), newline=""))
    judge = CONTRACTS[next(reader)[0]]
    read, bad, good = 0, [], []
    line = reader.line_num + 1
    for fields in reader:
        read += 1
        row = judge(fields, least)
        if row is None:
            bad.append(line)
        else:
            good.append(row)
        line = reader.line_num + 1
    days = {}
    for day in {row[5] for row in good}:
        its = [row for row in good if row[5] == day]
        days[day] = (len(its), sum(int(row[3]) for row in its), _sum(its, 4), _sum(its, 6))
    return Expected(read, tuple(bad), tuple(sorted(good)) if len(good) < EXACT_ROWS else (), days)


def _sum(rows: Iterable[Row], column: int) -> Decimal:
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


def sha256(data: bytes) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()


# What is there ------------------------------------------------------------------------------------------------------


def raw_files(root: Path) -> dict[str, bytes]:
    """Every file of the raw zone, by key."""
    return {str(path.relative_to(root / RAW)): path.read_bytes() for path in _files(root / RAW)}


def records(root: Path) -> dict[str, dict[str, Any]]:
    """Every commit record, by the key that it is about. A record begins with a summary of 1,024 bytes.

    What a deletion leaves in the place of a record says of no rows.
    """
    found = {}
    for path in _files(root / PROCESSED / RECORDS):
        document = json.loads(path.read_bytes()[1024:])
        if document.get("deleted") and not (document["files"] or document["quarantine"] or document["rows_read"]):
            continue
        found[document["source"]["key"]] = {**document, "file": path.name}
    return found


def data_files(root: Path) -> set[str]:
    """The keys of what a reader of the bucket would take for data."""
    keys = (str(path.relative_to(root / PROCESSED)) for path in _files(root / PROCESSED))
    return {key for key in keys if not key.startswith(("_", "."))}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and ".lakehead" not in path.parts)


def table(root: Path, database: str, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query on one of the state files."""
    with closing(sqlite3.connect(root / STATE / f"{database}.db", timeout=30)) as connection:
        return connection.execute(sql).fetchall()


def failed_executions(root: Path) -> list[str]:
    """The names of the executions that ended otherwise than well."""
    sql = "SELECT name FROM executions WHERE status NOT IN ('RUNNING', 'SUCCEEDED')"
    return [name for (name,) in table(root, "workflow", sql)]


def _read(paths: list[str], what: str, ending: str = "") -> list[tuple[Any, ...]]:
    """A query on Parquet files; `filename` is a column."""
    options = "filename = true, hive_partitioning = false, union_by_name = true"
    sql = f"SELECT {what} FROM read_parquet($paths, {options}) {ending}"
    if not paths:
        return []
    with closing(_duckdb().cursor()) as cursor:
        return cursor.execute(sql, {"paths": paths}).fetchall()


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


# The comparison -----------------------------------------------------------------------------------------------------


@dataclass
class Check:
    """One comparison.

    `loaded` is the version of each key whose rows the lake must hold, `least` the least price by which it was loaded
    (0 unless told), `landed` what the raw zone holds if it is something else. `strict`: nothing was deleted, and every
    execution that succeeded brought the rows that it told of. Otherwise some may have found newer rows, or the same,
    and have told nothing; but never those whose rows the lake holds.
    """

    root: Path
    loaded: Mapping[str, bytes]
    least: Mapping[str, int] = field(default_factory=dict)
    landed: Mapping[str, bytes] | None = None
    strict: bool = True
    found: list[str] = field(default_factory=list)

    def truths(self) -> dict[str, Expected]:
        """What each version that is loaded must have become."""
        return {key: expected(data, self.least.get(key, 0)) for key, data in self.loaded.items()}

    def demand(self, holds: bool, problem: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.found.append(problem)

    def same(self, what: str, expected: object, received: object) -> None:
        """Note where two differ."""
        self.demand(expected == received, f"{what}: expected {_short(expected)}, found {_short(received)}")

    def run(self) -> list[str]:
        """Compare everything; what cannot even be read is a problem too."""
        for part in (self.records, self.files, self.rows, self.quarantine, self.catalog, self.runs):
            try:
                part()
            except Exception as error:
                self.found.append(f"{part.__name__} cannot be read: {type(error).__name__}: {error}")
        return self.found

    def records(self) -> None:
        """Each object that was loaded has its record, and the record accounts for every row."""
        found = records(self.root)
        self.same("objects with a commit record", sorted(self.loaded), sorted(found))
        for key, data in self.loaded.items():
            record, truth = found.get(key), self.truths()[key]
            if record is None:
                continue
            identity = sha256(key.encode())
            self.same(f"{key}: record's name", f"{identity}.json", record["file"])
            self.same(f"{key}: version", sha256(data), record["source"]["etag"])
            self.same(f"{key}: rows read", truth.read, record["rows_read"])
            self.same(f"{key}: rows committed", truth.committed, record["rows_committed"])
            self.same(f"{key}: rows quarantined", len(truth.bad_lines), record["rows_quarantined"])

    def files(self) -> None:
        """The files of the lake are those that the records name, and the folder of Lakehead's own holds no other."""
        named = [file for record in records(self.root).values() for file in (*record["files"], *record["quarantine"])]
        keys = sorted(file["key"] for file in named)
        self.same("files that records name, and files", keys, sorted(data_files(self.root)))
        for file in named:
            path = self.root / PROCESSED / file["key"]
            if path.is_file():
                self.same(f"{file['key']}: bytes", file["bytes"], path.stat().st_size)
        folder = self.root / PROCESSED / "_lakehead"
        own = {path.relative_to(folder).parts[0] for path in _files(folder)}
        self.demand(
            own <= {"commits", "content", "damaged", "deletions"}, f"unknown files in _lakehead/: {sorted(own)}"
        )

    def _paths(self, *, quarantine: bool) -> list[str]:
        keys = sorted(key for key in data_files(self.root) if key.startswith("quarantine/") is quarantine)
        return [str(self.root / PROCESSED / key) for key in keys]

    def rows(self) -> None:
        """The rows in the data files are those of the raw files, by object and day, to the last digit."""
        paths = self._paths(quarantine=False)
        found: dict[tuple[str, str], Sums] = {}
        for name, *sums in _read(
            paths, "filename, count(*), sum(quantity), sum(price), sum(total_amount)", "GROUP BY 1"
        ):
            place = _place(str(name))
            found[place] = _added(found.get(place), sums)
        wanted = {
            (sha256(key.encode())[:20], day): sums
            for key, truth in self.truths().items()
            for day, sums in truth.days.items()
        }
        for place in sorted({*wanted, *found}):
            self.same(f"rows and sums of object {place[0]}, {place[1]}", wanted.get(place), found.get(place))
        if paths and sum(sums[0] for sums in wanted.values()) < EXACT_ROWS:
            self._one_by_one(paths)

    def _one_by_one(self, paths: list[str]) -> None:
        columns = "filename, order_id, customer_id, product, quantity, price, total_amount"
        found = Counter(
            (str(number), customer, product, str(quantity), str(price), _place(name)[1], str(total))
            for name, number, customer, product, quantity, price, total in _read(paths, columns)
        )
        self.same("rows", Counter(row for truth in self.truths().values() for row in truth.rows), found)

    def quarantine(self) -> None:
        """Every line that breaks the contract is in quarantine, once."""
        found = Counter((str(key), int(line)) for key, line in _read(self._paths(quarantine=True), "source_key, line"))
        wanted = Counter((key, line) for key, truth in self.truths().items() for line in truth.bad_lines)
        self.same("quarantined lines", wanted, found)

    def catalog(self) -> None:
        """The catalog names the files that the records name, with their rows; its partitions add up."""
        named = records(self.root).values()
        for name, part in (("processed_orders", "files"), ("quarantine_orders", "quarantine")):
            wanted = sorted((file["key"], file["rows"], file["bytes"]) for record in named for file in record[part])
            self.same(f"files of table {name}", wanted, self._of_table("key, row_count, bytes FROM files", name))
        landed = sorted(self.loaded if self.landed is None else self.landed)
        listed = [key for (key,) in self._of_table("key FROM files", "raw_orders")]
        # A deleted file stays in the raw table until a full crawl.
        self.same(
            "files of table raw_orders", landed, listed if self.strict else [key for key in listed if key in landed]
        )
        days: Counter[str] = Counter()
        for truth in self.truths().values():
            days.update({f"order_date={day}": sums[0] for day, sums in truth.days.items()})
        parts = self._of_table("path, row_count FROM partitions", "processed_orders")
        self.same("partitions of table processed_orders", sorted(days.items()), parts)

    def _of_table(self, what: str, name: str) -> list[tuple[Any, ...]]:
        return table(self.root, "catalog", f"SELECT {what} WHERE table_name = '{name}' ORDER BY 1")

    def runs(self) -> None:
        """Every recorded version had an execution, which has ended, and each execution told its end once."""
        rows = table(self.root, "workflow", "SELECT name, status, redrives FROM executions")
        ended, redrives = {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}
        self.demand("RUNNING" not in ended.values(), "an execution still runs")
        told: dict[str, list[str]] = {}
        for (text,) in table(self.root, "notify", "SELECT attributes FROM notifications"):
            attributes = json.loads(text)
            told.setdefault(attributes["execution"], []).append(attributes["outcome"])
        owners = {record["execution"] for record in records(self.root).values()}
        successes: Counter[tuple[str, str]] = Counter()
        for key, etag, state, name in table(self.root, "events", "SELECT key, etag, state, execution FROM events"):
            if state == "stale":
                told.pop(name, None)
                continue
            status = ended.get(name, "no execution")
            outcome, noted = ("success", "done") if status == "SUCCEEDED" else ("failure", "failed")
            self.same(f"{key}: state of its event, whose execution is {status}", noted, state)
            # An execution that was redriven in place had failed before, each time told.
            wanted, found = [*["failure"] * redrives.get(name, 0), outcome], told.pop(name, [])
            if self.strict or outcome == "failure" or found or name in owners:
                self.same(f"{key}: what execution {name} told", wanted, found)
            successes[key, etag] += outcome == "success"
        self.same("notifications of no execution", {}, told)
        for key, data in self.loaded.items() if self.strict else ():
            count = successes[key, sha256(data)]
            self.demand(count >= 1, f"{key}: no execution that succeeded told of the version that is loaded")
        self.same("tasks left", [], table(self.root, "workflow", "SELECT * FROM tasks"))
        self.same("timers left", [], table(self.root, "workflow", "SELECT * FROM timers"))


def problems(root: Path, landed: Mapping[str, bytes], *, loaded: Mapping[str, bytes] | None = None) -> list[str]:
    """What is wrong with a lake at rest. `landed`: what its raw zone must hold; all of it is loaded unless told."""
    found = []
    raw = raw_files(root)
    if raw != dict(landed):
        changed = sorted(key for key in {*raw, *landed} if raw.get(key) != landed.get(key))
        found.append(f"raw bytes are not as they landed: {changed}")
    return [*found, *Check(root, landed if loaded is None else loaded).run()]


def snapshot(root: Path) -> dict[str, Any]:
    """All that a run with nothing to do must leave as it is."""
    stats = {str(path.relative_to(root)): path.stat() for path in _files(root / "data")}
    state = {
        "events": ("events",),
        "workflow": ("executions", "history", "tasks", "timers"),
        "catalog": ("tables", "files", "partitions", "notes", "objects"),
        "notify": ("notifications",),
    }
    tables = {
        f"{database}.{name}": table(root, database, f"SELECT * FROM {name}")
        for database, names in state.items()
        for name in names
    }
    return {**{path: (found.st_ino, found.st_mtime_ns, found.st_size) for path, found in stats.items()}, **tables}


def _place(path: str) -> tuple[str, str]:
    """The object and the day that a data file's path tells."""
    *_, folder, name = path.split("/")
    return name.split("-")[0], folder.partition("=")[2]


def _added(before: Sums | None, more: list[Any]) -> Sums:
    rows, quantity, price, total = more
    old = before or (0, 0, Decimal(0), Decimal(0))
    return old[0] + rows, old[1] + int(quantity), old[2] + price, old[3] + total


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 600 else text[:600] + "..."
