"""Small files that share a query: each ends as if it had been loaded alone, down to the bytes of its files."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehead.contract import Contract
from lakehead.errors import HeaderMismatch, LakeheadError, QualityCheckFailed, TooManyQuarantined
from lakehead.etl import together
from lakehead.etl.base import EngineResult, Load
from lakehead.etl.csv_relation import read_csv
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.etl.together import QUERY_RECORDS, SMALL_BYTES, SMALL_RECORDS, SmallFile, Together
from lakehead.model import ObjectVersion

HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
Found = tuple[tuple[int, int, int], dict[str, int], tuple[str, ...], dict[str, bytes]]


@pytest.fixture(scope="module")
def engine(engines: dict[str, Any]) -> DuckDBEngine:
    found: DuckDBEngine = engines["duckdb-together"]
    return found


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files shared each query."""
    sizes: list[int] = []
    run = Together.run

    def watched(self: Together) -> None:
        sizes.append(len(self.files))
        run(self)

    monkeypatch.setattr(Together, "run", watched)
    return sizes


def load(engine: DuckDBEngine, texts: Sequence[str | bytes], contract: Contract, root: Path) -> list[Any]:
    """Load them together. For each its counts, reasons, warnings and staged bytes, or its error."""
    loads = []
    for number, text in enumerate(texts):
        folder = root / str(number)
        folder.mkdir(parents=True)
        (folder / "source").write_bytes(text.encode() if isinstance(text, str) else text)
        origin = ObjectVersion("raw", "sales/orders/orders.csv", "etag-1")
        loads.append(Load(folder / "source", origin, folder / "staging"))
    results = engine.load_together(loads, contract)
    return [told(result, one.staging) for one, result in zip(loads, results, strict=True)]


def told(result: EngineResult | LakeheadError | None, staging: Path) -> Found | LakeheadError | None:
    if result is None or isinstance(result, LakeheadError):
        return result
    counts = result.rows_read, result.rows_committed, result.rows_quarantined
    files = {str(path.relative_to(staging)): path.read_bytes() for path in staging.rglob("*") if path.is_file()}
    named = [*result.files, *([result.quarantine] if result.quarantine else [])]
    assert sorted(files) == sorted(str(file.path.relative_to(staging)) for file in named)
    return counts, result.reasons, result.warnings, files


def row(number: int, *, product: str = "Mouse", quantity: str = "1", day: int = 1) -> str:
    return f"{number},C{number},{product},{quantity},1.50,2025-01-{day:02}\n"


ROWS = st.builds(
    row,
    st.integers(0, 9),
    product=st.sampled_from(["Mouse", "", "Größe", "  x "]),
    quantity=st.sampled_from(["1", "22", "x", ""]),
    day=st.integers(1, 3),
)
CSV = st.builds(
    lambda rows, repeat, end, last: (
        (HEADER + "".join(rows) * repeat).removesuffix("\n" if last else "").replace("\n", end)
    ),
    st.lists(ROWS, min_size=1, max_size=6),
    st.sampled_from([1, 1, 300, 700]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["\n", ""]),
)


@given(texts=st.lists(CSV, min_size=2, max_size=5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_file_gives_does_not_depend_on_those_beside_it(
    texts: list[str], engine: DuckDBEngine, orders: Contract, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("together")
    beside = load(engine, texts, orders, root / "beside")
    for number, text in enumerate(texts):
        (alone,) = load(engine, [text], orders, root / f"alone-{number}")
        if isinstance(alone, LakeheadError):
            assert (type(beside[number]), str(beside[number])) == (type(alone), str(alone))
        else:
            assert beside[number] == alone


def test_many_files_share_one_query(engine: DuckDBEngine, orders: Contract, tmp_path: Path, shared: list[int]) -> None:
    found = load(engine, [HEADER + row(number) for number in range(5)], orders, tmp_path)
    assert [one[0] for one in found] == [(1, 1, 0)] * 5
    assert shared == [5]


def test_files_of_another_layout_share_another_query(
    engine: DuckDBEngine, orders: Contract, tmp_path: Path, shared: list[int]
) -> None:
    swapped = "customer_id,order_id,product,quantity,price,order_date\nC1,1,Mouse,1,1.50,2025-01-01\n"
    found = load(engine, [HEADER + row(1), swapped, HEADER + row(2)], orders, tmp_path)
    assert [one[0] for one in found] == [(1, 1, 0)] * 3
    assert sorted(shared) == [1, 2]


def test_each_file_has_its_own_fate(engine: DuckDBEngine, orders: Contract, tmp_path: Path, shared: list[int]) -> None:
    texts = [
        HEADER + row(1) + row(2, quantity="x"),
        "nothing,known\n1,2\n",
        HEADER + row(3, quantity="x"),
        HEADER + row(4, product='"a,b"'),
        HEADER,
        "",
        HEADER + row(5, day=2) + row(6, day=1),
    ]
    mixed, header, all_bad, quoted, only_header, empty, good = load(engine, texts, orders, tmp_path)
    assert mixed[0] == (2, 1, 1) and mixed[1] == {"quantity: not an integer": 1}
    assert isinstance(header, HeaderMismatch)
    assert isinstance(all_bad, TooManyQuarantined) and all_bad.where["line"] == 2
    assert quoted[0] == (1, 1, 0)
    assert only_header[0] == empty[0] == (0, 0, 0)
    assert sorted(good[3]) == ["data/order_date=2025-01-01/0.parquet", "data/order_date=2025-01-02/0.parquet"]
    assert shared == [3]


def test_lines_are_told_of_each_file_by_itself(engine: DuckDBEngine, orders: Contract, tmp_path: Path) -> None:
    texts = [HEADER + row(1), HEADER + row(2) + row(3) + row(4, quantity="x"), HEADER + row(5, quantity="y") + row(6)]
    load(engine, texts, orders, tmp_path)
    lines = [
        duckdb.execute(f"SELECT line, text FROM '{tmp_path}/{number}/staging/quarantine.parquet'").fetchall()
        for number in (1, 2)
    ]
    assert lines == [[(4, row(4, quantity="x").strip())], [(2, row(5, quantity="y").strip())]]


def test_a_check_of_whole_files_looks_at_one_file(
    engine: DuckDBEngine, make_contract: Callable[..., Contract], tmp_path: Path, shared: list[int]
) -> None:
    quality = [{"metric": "nullValues", "mustBeLessThan": 2}]
    contract = make_contract(
        {"name": "a", "logicalType": "string", "quality": quality}, {"name": "b", "logicalType": "string"}
    )
    first, twice, third = load(engine, ["a,b\n,1\n", "a,b\n,1\n,2\n", "a,b\n,1\n"], contract, tmp_path)
    assert first[0] == third[0] == (1, 1, 0)
    assert isinstance(twice, QualityCheckFailed)
    assert shared == [3]


def test_repeated_keys_are_loaded_alone(
    engine: DuckDBEngine, make_contract: Callable[..., Contract], tmp_path: Path, shared: list[int]
) -> None:
    number = {"name": "a", "logicalType": "integer", "unique": True}
    contract = make_contract(number, {"name": "b", "logicalType": "string"})
    assert [one[0] for one in load(engine, ["a,b\n1,x\n", "a,b\n1,x\n1,y\n"], contract, tmp_path / "keys")] == [
        (1, 1, 0),
        (2, 1, 1),
    ]
    assert shared == []


@pytest.mark.parametrize("name", ["orders.csv", "orders.csv.gz", "hidden.csv.gz"])
def test_a_large_file_is_handed_back(
    engine: DuckDBEngine, orders: Contract, tmp_path: Path, shared: list[int], name: str
) -> None:
    """Also where it only shows when an archive was read: its last member is small."""
    text = (HEADER + "".join(map(row, range(100_000)))).encode()
    assert len(text) > 2 * SMALL_BYTES
    data = {"orders.csv": text, "orders.csv.gz": gzip.compress(text)}.get(
        name, gzip.compress(text) + gzip.compress(b"")
    )
    (tmp_path / "large").write_bytes(data)
    (tmp_path / "small").write_text(HEADER + row(1))
    large, small = (
        Load(tmp_path / which, ObjectVersion("raw", f"sales/orders/{key}", "etag-1"), tmp_path / f"{which}-staging")
        for which, key in (("large", name), ("small", "small.csv"))
    )
    told = engine.load_together([large, small], orders)
    assert told[0] is None and isinstance(told[1], EngineResult)
    assert shared == [1]
    assert not [path for path in (tmp_path / "large-staging").rglob("*") if path.is_file()]
    assert engine.load(large.source, orders, origin=large.origin, staging=large.staging).rows_committed == 100_000


def test_a_query_takes_no_more_than_it_can_hold(
    engine: DuckDBEngine, orders: Contract, tmp_path: Path, shared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SMALL_RECORDS < QUERY_RECORDS < 122_880, "a row group of DuckDB's tables"
    texts = [HEADER + row(number) + row(number) for number in range(5)]
    monkeypatch.setattr(together, "QUERY_RECORDS", 5)
    assert [one[0] for one in load(engine, texts, orders, tmp_path / "records")] == [(2, 2, 0)] * 5
    monkeypatch.setattr(together, "QUERY_BYTES", len(texts[0]) * 3)
    monkeypatch.setattr(together, "QUERY_RECORDS", 100)
    assert [one[0] for one in load(engine, texts, orders, tmp_path / "bytes")] == [(2, 2, 0)] * 5
    assert shared == [2, 2, 1, 3, 2]


@pytest.mark.parametrize("name", ["_file", "_FILE", "file"])
def test_a_column_may_have_any_name(
    engine: DuckDBEngine, make_contract: Callable[..., Contract], tmp_path: Path, shared: list[int], name: str
) -> None:
    contract = make_contract(
        {"name": "a", "logicalType": "string", "transformLogic": f'"{name}"'}, {"name": "b", "logicalType": "string"}
    )
    assert [one[0] for one in load(engine, [f"{name},b\n1,2\n"] * 2, contract, tmp_path)] == [(1, 1, 0)] * 2
    assert shared == [2]


def test_an_engine_says_whose_files_share_a_query(
    engines: dict[str, Any], orders: Contract, make_contract: Callable[..., Contract]
) -> None:
    keyed = make_contract({"name": "a", "logicalType": "integer", "unique": True})
    told = {name: [engine.shares(contract) for contract in (orders, keyed)] for name, engine in engines.items()}
    assert told["duckdb-together"] == [True, False]
    assert told["duckdb-careful"] == told["spark"] == [False, False]


def test_rows_that_do_not_come_back_are_noticed_and_each_file_is_loaded_alone(
    engine: DuckDBEngine, orders: Contract, tmp_path: Path, shared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SmallFile.text

    def mixed_up(self: SmallFile, before: bytes) -> bytes:
        return text(self, b"0," if before == b"1," else before)

    monkeypatch.setattr(SmallFile, "text", mixed_up)
    found = load(engine, [HEADER + row(1), HEADER + row(2)], orders, tmp_path)
    assert [one[0] for one in found] == [(1, 1, 0)] * 2
    assert shared == [2, 1, 1]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (lambda *given, **options: read_csv(*given, **{**options, "longest": 8}), "maximum line size"),
        (lambda *_, **__: "nowhere", "nowhere"),
    ],
    ids=["refused rows", "refused query"],
)
def test_what_duckdb_cannot_read_together_is_loaded_alone(
    engine: DuckDBEngine, orders: Contract, tmp_path: Path, shared: list[int], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, how: Callable[..., str], reason: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(together, "read_csv", how)
    found = load(engine, [HEADER + row(1), HEADER + row(2, quantity="x") + row(3)], orders, tmp_path)
    assert [one[0] for one in found] == [(1, 1, 0), (2, 1, 1)]
    assert shared == [2, 1, 1]
    assert [reason in line.casefold() for line in caplog.messages] == [True] * 3
    monkeypatch.undo()
    assert [one[0] for one in load(engine, [HEADER + row(1)] * 2, orders, tmp_path / "again")] == [(1, 1, 0)] * 2
