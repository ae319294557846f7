"""What is Spark's own: lines over many tasks, the layout of files, scratch and memory, faults and how they are told."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lakehead import examples
from lakehead.contract import Contract, load_contract
from lakehead.errors import (
    Busy,
    CountMismatch,
    LakeheadError,
    StorageUnavailable,
    TerminalError,
    TooLarge,
    TransientError,
)
from lakehead.etl import folders, reading, records
from lakehead.etl.place import Place
from lakehead.etl.spark import layout, lines, output, runtime
from lakehead.etl.spark.faults import cause, spark_explained
from lakehead.etl.spark.layout import PlannedFile, _cut
from lakehead.model import ObjectVersion

pytest.importorskip("pyspark", reason="needs the extra lakehead[spark]")

HEADER = "order_id,customer_id,product,quantity,price,order_date"
ORIGIN = ObjectVersion("raw", "sales/orders/orders.csv", "etag-1")


@pytest.fixture
def engine(engines: dict[str, Any]) -> Any:
    return engines["spark"]


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each task read 64 KiB."""
    monkeypatch.setitem(runtime.MANNER, "spark.sql.files.maxPartitionBytes", str(64 << 10))


def orders_text(count: int, *, end: str = "\n", bad: int = 97) -> str:
    rows = [f"{n},C{n % 7},p é,{'x' if n % bad == 5 else 2},1.25,2025-01-{1 + n * 11 % 28:02}" for n in range(count)]
    return end.join([HEADER, *rows]) + end


@pytest.mark.parametrize(("mark", "end"), [("", "\n"), ("\ufeff", "\r\n")])
def test_lines_over_many_tasks(
    load: Callable[..., Any], engines: dict[str, Any], small_tasks: None, mark: str, end: str
) -> None:
    text = mark + orders_text(20_000, end=end)
    loaded, expected = load(text), load(text, engine=engines["duckdb"])
    assert loaded.quarantine == expected.quarantine and loaded.rows == expected.rows
    assert loaded.quarantine[1][0] == 104


def test_a_file_without_header_over_many_tasks(
    load: Callable[..., Any], engines: dict[str, Any], make_contract: Callable[..., Contract], small_tasks: None
) -> None:
    contract = make_contract(
        {"name": "n", "logicalType": "integer", "physicalType": "bigint", "unique": True},
        {"name": "a", "logicalType": "string"},
        csvHeader=False,
        csvDelimiter="|",
    )
    text = "\ufeff" + "".join(f"{n * 7919 % 9_001}|x{n}\n" for n in range(12_000))
    loaded, expected = load(text, contract), load(text, contract, engine=engines["duckdb"])
    assert loaded.rows == expected.rows and loaded.quarantine == expected.quarantine
    assert loaded.result.reasons == {"n: not unique": 2_999}


@pytest.mark.parametrize("fault", ["order", "lines", "ragged", "shared"])
def test_spark_seeing_another_file_than_the_scan_is_not_believed(
    load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, small_tasks: None, fault: str
) -> None:
    careful: list[int] = []
    first_lines, normalise = lines._first_lines, records.normalise

    class Task:
        def __init__(self, row: Any, number: int, count: int) -> None:
            self.task, self.lines, self.ragged = row.task, row.lines, row.ragged
            self.first_block, self.last_block = row.first_block, row.last_block
            if fault == "order":
                self.first_block = self.last_block = count - number
            elif fault == "shared" and number == 0:
                self.last_block += 1
            elif number == 0:
                setattr(self, fault, getattr(self, fault) + 1)

    def disturbed(tasks: Any, count: int) -> Any:
        told: Any = [Task(row, number, len(tasks)) for number, row in enumerate(tasks)]
        return first_lines(told, count)

    def counted(*arguments: Any) -> Any:
        careful.append(1)
        return normalise(*arguments)

    monkeypatch.setattr(lines, "_first_lines", disturbed)
    monkeypatch.setattr(reading, "normalise", counted)
    assert load(orders_text(4_000)).counts == (4_000, 3_958, 42)
    assert careful


def test_rows_that_get_lost_on_the_way_stop_the_load(load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(rows: Any, *arguments: Any) -> Any:
        return with_file(rows, *arguments).where("order_id <> 3")

    with_file = layout.with_file
    with monkeypatch.context() as patch:
        patch.setattr(output, "with_file", lossy)
        with pytest.raises(CountMismatch, match="other rows were written than were accepted"):
            load(orders_text(60))
    clean_rows = lines.clean_rows
    monkeypatch.setattr("lakehead.etl.spark.engine.clean_rows", lambda *a: clean_rows(*a).where("_line <> 3"))
    with pytest.raises(CountMismatch, match="Spark read another number of records") as caught:
        load(orders_text(20).replace("p é", '"p"'))
    assert (caught.value.where["expected"], caught.value.where["received"]) == (20, 19)


def test_a_large_partition_is_cut_and_a_rerun_writes_the_same(
    load: Callable[..., Any], engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch, small_tasks: None
) -> None:
    monkeypatch.setattr(folders, "TEXT_PER_FILE", 100 << 10)
    monkeypatch.setattr(folders, "LEAST_ROWS", 100)
    rows = [f"{n},C,p,1,1,{'2025-01-01' if n % 9 else f'2025-02-{1 + n % 28:02}'}" for n in range(30_000)]
    text = "\n".join([HEADER, *rows]) + "\n"
    loaded, again = load(text), load(text)
    assert loaded.digest == again.digest
    expected = load(text, engine=engines["duckdb"])
    assert loaded.rows == expected.rows
    per_file = folders.rows_per_file(30_000, len(text))
    large = [file.rows for file in loaded.result.files if file.partition == "order_date=2025-01-01"]
    assert len(large) == len([file for file in expected.result.files if file.partition == "order_date=2025-01-01"])
    assert all(per_file * 0.95 < rows <= per_file for rows in large[:-1]) and large[-1] <= per_file
    assert [file.path.name for file in loaded.result.files[: len(large)]] == [f"{n}.parquet" for n in range(len(large))]


def test_cutting_by_stretches() -> None:
    stretches = [(0, 3), (10, 4), (20, 9), (30, 1)]
    files = [(file.number, file.start, file.rows) for file in _cut(("a",), stretches, 8)]
    assert files == [(0, 0, 7), (1, 20, 9), (2, 30, 1)]
    assert list(_cut((), [(0, 5)], 8)) == [PlannedFile((), 0, 0, 5)]


def test_many_partitions_of_every_type(
    load: Callable[..., Any], engines: dict[str, Any], make_contract: Callable[..., Contract]
) -> None:
    values = {
        "string": ("a'b", "é", "b c", "\\", "%", "A", "0"),
        "integer": ("10", "9", "-1", "0", "7", "100", "2"),
        "date": ("2025-01-01", "1999-12-31", "0001-01-01", "9999-12-31", "2024-02-29", "1970-01-01", "2025-01-02"),
        "boolean": ("true", "false"),
    }
    for kind, texts in values.items():
        key = {"partitioned": True, "required": True}
        contract = make_contract(
            {"name": "n", "logicalType": "integer", "physicalType": "bigint", "transformLogic": '"n.m"'},
            {
                "name": "k",
                "transformLogic": '"k `x`"',
                "logicalType": kind,
                "partitioned": True,
                "partitionKeyPosition": 1,
                "required": True,
            },
            {"name": "j", "logicalType": "integer", "partitionKeyPosition": 2, **key},
        )
        text = "n.m,k `x`,j\n" + "".join(f"{n},{texts[n % len(texts)]},{n % 3}\n" for n in range(100)) + "x,,\n"
        loaded, expected = load(text, contract), load(text, contract, engine=engines["duckdb"])
        assert loaded.rows == expected.rows and loaded.quarantine == expected.quarantine
        assert [f.partition for f in loaded.result.files] == [f.partition for f in expected.result.files]


def test_a_text_too_long_for_a_pattern_fails_its_own_load_only(
    load: Callable[..., Any], engines: dict[str, Any], make_contract: Callable[..., Contract]
) -> None:
    contract = make_contract(
        {"name": "n", "logicalType": "integer", "physicalType": "bigint"},
        {"name": "a", "logicalType": "string", "logicalTypeOptions": {"pattern": "(?:a|b)*"}},
    )
    assert len(load(f"n,a\n1,{'ab' * 5_000}\n", contract).rows) == 1
    spark = engines["spark"].lease.runtime()
    with pytest.raises(TerminalError, match="pattern of the contract is too complex"):
        load(f"n,a\n1,{'ab' * 100_000}x\n", contract)
    assert load("n,a\n1,ab\n", contract).result.rows_committed == 1
    assert engines["spark"].lease.runtime() is spark, "the Spark that other loads share lives on"


def test_one_partition_too_many(load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_PARTITIONS", 27)
    with pytest.raises(TooLarge, match="more than 27 partitions"):
        load(orders_text(200))


class PySparkError(Exception):
    __module__ = "pyspark.errors"


class Py4JNetworkError(Exception):
    __module__ = "py4j.protocol"


TRACE = "An error occurred while calling o1.parquet.\n: org.apache.spark.SparkException: oops\n\tat org.X\nCaused by: "


@pytest.mark.parametrize(
    ("error", "ended", "expected", "words"),
    [
        (
            PySparkError(f"{TRACE}java.io.IOException: No space left on device"),
            None,
            StorageUnavailable,
            "full",
        ),
        (
            PySparkError(f"{TRACE}java.io.IOException: Input/output error"),
            None,
            StorageUnavailable,
            "Input/o",
        ),
        (PySparkError(f"{TRACE}java.lang.OutOfMemoryError: Java heap space"), None, Busy, "limit of 1GB"),
        (PySparkError(f"{TRACE}java.lang.IllegalStateException: oops"), None, TerminalError, "oops"),
        (PySparkError("Job 3 cancelled because SparkContext was shut down"), None, TransientError, "Spark ended"),
        (Py4JNetworkError("Answer from Java side is empty"), False, TransientError, "Spark ended"),
        (PySparkError("An error occurred while calling o1.parquet"), True, Busy, "limit of 1GB"),
        (ConnectionRefusedError(111, "refused"), False, TransientError, "Spark ended"),
        (OSError(28, "No space left on device"), None, StorageUnavailable, "the disk is full"),
    ],
)
def test_faults_are_explained(
    orders: Contract, error: Exception, ended: bool | None, expected: type[LakeheadError], words: str
) -> None:
    with pytest.raises(expected) as caught, spark_explained(Place.of(orders, ORIGIN), "1GB", lambda: ended):
        raise error
    assert words in str(caught.value) and "\tat " not in str(caught.value)
    assert caught.value.hint and caught.value.where["key"] == "sales/orders/orders.csv"


PLAN = "\n'Aggregate [unresolvedalias(count(1), None)]\n+- 'Filter (day#1 > 3)\n:  +- Relation [value#337] text\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"[DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES] Cannot resolve it;{PLAN}",
            "[DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES]",
        ),
        (
            f"[DIVIDE_BY_ZERO] Division by zero.{PLAN}\tat org.X\nCaused by: java.lang.X: no",
            "[DIVIDE_BY_ZERO] Division",
        ),
        (f"Cannot resolve it;{PLAN}: +- Relation", "Cannot resolve it;"),
        (f"{TRACE}org.apache.X: oops;{PLAN}: +- Relation [value#337] text\n\tat org.Y", "org.apache.X: oops;"),
        ("An error occurred.\n: java.lang.OddException\n\tat org.X", "java.lang.OddException"),
        ("An error occurred.\n\tat org.X", "An error occurred."),
    ],
)
def test_the_cause_is_no_line_of_a_query_plan(text: str, expected: str) -> None:
    assert cause(text).startswith(expected) and "Relation" not in cause(text)


def test_what_is_no_fault_of_spark_is_not_explained(orders: Contract) -> None:
    with pytest.raises(ZeroDivisionError), spark_explained(Place.of(orders, ORIGIN), "1GB", lambda: None):
        raise ZeroDivisionError


LITTLE = """
    import os, signal, sys, threading, time
    from pathlib import Path
    from lakehead import examples
    from lakehead.contract import load_contract
    from lakehead.errors import ConfigError, TransientError
    from lakehead.etl.spark.engine import SparkEngine
    from lakehead.model import ObjectVersion

    root, origin = Path(sys.argv[1]), ObjectVersion("raw", "sales/orders/o.csv", "e")
    contract = load_contract(Path(examples.__file__).parent / "sales/contracts/sales/orders.odcs.yaml")
    engine = SparkEngine(master="local[2]", memory_limit="512MB", temp_dir=root, plain_from=0)

    def load(name):
        return engine.load(root / "many.csv", contract, origin=origin, staging=root / name)

    result = load("a")
    print(result.rows_read, result.rows_committed, len(result.files), signal.getsignal(signal.SIGINT).__name__)
    process = engine.lease.runtime()._gateway.proc
    threading.Timer(1.0, process.kill).start()
    try:
        load("b")
    except TransientError as error:
        print(type(error).__name__, process.wait())
    print(load("c").files[0].rows == result.files[0].rows)
    engine.close()
    print([path.name for path in root.iterdir() if path.name.startswith("lakehead-spark")])
    for master in ("nonsense", "local[x]"):
        try:
            SparkEngine(master=master).load(root / "many.csv", contract, origin=origin, staging=root / "d")
        except ConfigError as error:
            print(error.where["received"], "\\tat " in str(error), error.message, sep="|")
"""


@pytest.mark.slow
def test_little_heap_a_lost_process_and_silence(tmp_path: Path) -> None:
    """In a process of its own: the heap is Spark's for good, and a Spark that died must not be the other tests'."""
    with (tmp_path / "many.csv").open("w") as file:
        file.write(HEADER + "\n")
        file.writelines(f"{n},customer {n},product,1,1,2025-01-{1 + n % 28:02}\n" for n in range(200_000))
    command = [sys.executable, "-c", textwrap.dedent(LITTLE), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.stderr == "" and done.returncode == 0
    counts, lost, again, left, *refused = done.stdout.splitlines()
    assert counts == "200000 200000 28 default_int_handler"
    assert lost == "TransientError -9" and again == "True" and left == "[]"
    assert [told.partition("|False|Spark does not start: ")[0] for told in refused] == ["nonsense", "local[x]"]
    assert "Could not parse Master URL" in refused[1]


def test_an_engine_without_pyspark_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, orders: Contract, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(LakeheadError, match="needs PySpark") as caught:
        runtime.Runtime(runtime.SparkSettings(temp_dir=tmp_path))
    assert "lakehead[spark]" in caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("size", "mebibytes"), [("1GB", 953), ("2GiB", 2048), ("1.5 GB", 1430), ("10MB", 512)])
def test_the_heap(size: str, mebibytes: int) -> None:
    assert runtime._mebibytes(size) == mebibytes


@pytest.mark.shared
def test_the_retail_year_is_the_same_row_by_row(
    engines: dict[str, Any], retail_year: Path, tmp_path: Path, reader: duckdb.DuckDBPyConnection
) -> None:
    contract = load_contract(Path(examples.__file__).parent / "retail/contracts/sales/orders.odcs.yaml")
    results = [
        engines[name].load(retail_year, contract, origin=ORIGIN, staging=tmp_path / name)
        for name in ("duckdb", "spark")
    ]
    counts = [(one.rows_read, one.rows_committed, one.rows_quarantined, one.reasons, one.warnings) for one in results]
    assert counts[0] == counts[1] and counts[0][:3] == (541_909, 406_829, 135_080)
    rows = "SELECT *, file_row_number FROM read_parquet('{}/data/*/*.parquet', file_row_number = true)"
    for query in (rows, "FROM '{}/quarantine.parquet'"):
        there, here = (query.format(str(tmp_path / name)) for name in ("duckdb", "spark"))
        for first, second in ((there, here), (here, there)):
            assert reader.execute(f"SELECT count(*) FROM ({first} EXCEPT ALL {second})").fetchone() == (0,)
