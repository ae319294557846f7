"""The engine over a real lake: committed files only, one state of the catalog, nothing else within reach."""

from __future__ import annotations

import gzip
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.room import HEADER, Room, open_room, orders

from lakehead.errors import Busy, QueryError, UnsupportedSql
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.model import Zone
from lakehead.query import QueryEngine, named_queries
from lakehead.query.result import Answer

QUERIES = Path(__file__).resolve().parents[2] / "src/lakehead/examples/sales/queries"


def test_rows_types_and_money(asked: Room) -> None:
    result = asked.engine.run("SELECT order_id, total_amount, order_date FROM processed_orders ORDER BY order_id")
    assert result.columns == [("order_id", "bigint"), ("total_amount", "decimal(14,2)"), ("order_date", "date")]
    assert list(result.rows) == [
        (1, Decimal("21.00"), date(2025, 1, 1)),
        (2, Decimal("3.00"), date(2025, 1, 2)),
        (3, Decimal("5.00"), date(2025, 2, 1)),
        (4, Decimal("7.00"), date(2025, 1, 2)),
    ]
    assert (result.files, result.row_count, result.partitions) == (4, 4, (3, 3))
    assert result.scanned_bytes == sum(file.bytes for file in asked.catalog.files("processed_orders"))


def test_quarantined_rows_can_be_asked_for(asked: Room) -> None:
    ((key, line, text, reasons),) = asked.rows("SELECT source_key, line, text, reasons FROM quarantine_orders")
    assert (key.endswith("b.csv"), line) == (True, 3)
    assert text.startswith("5,C1") and "order_date" in reasons[0]
    assert asked.rows("SELECT count(*) FROM quarantine_orders WHERE any_match(reasons, r -> r LIKE 'order_date%')") == [
        (1,)
    ]


def test_raw_text_can_be_asked_for_as_it_landed(room: Room) -> None:
    text = HEADER + '1,"a ""b"", c","line\nbreak",1,2,2025-01-01\n2,,x\n'
    room.load("a.csv", text)
    room.store.put(
        "raw", "sales/orders/ingest_date=2025-01-02/b.csv.gz", gzip.compress((HEADER + "3,,y,1,2,z\n").encode())
    )
    room.catalog.note_changed("sales/orders", Zone.RAW, "sales/orders/ingest_date=2025-01-02/b.csv.gz")
    room.crawl()
    assert room.rows("SELECT order_id, customer_id, product, price, ingest_date FROM raw_orders ORDER BY order_id") == [
        ("1", 'a "b", c', "line\nbreak", "2", "2025-01-01"),
        ("2", "", "x", None, "2025-01-01"),
        ("3", "", "y", "2", "2025-01-02"),
    ]
    assert room.engine.run("SELECT * FROM raw_orders WHERE ingest_date = '2025-01-02'").files == 1
    assert room.rows("SELECT sum(try_cast(price AS decimal(10,2))) FROM raw_orders") == [(Decimal("4.00"),)]
    # DuckDB 2.0 would push this cast into its CSV reader and drop the row.
    assert room.rows("SELECT count(*), count(try_cast(customer_id AS integer)) FROM raw_orders") == [(3, 0)]


def test_raw_files_with_other_columns_are_one_table(room: Room) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")))
    other = "extra,order_date,price,quantity,product,customer_id,order_id\nX,2025-01-01,2.00,1,Thing,C2,2\n"
    room.load("b.csv", other)
    room.crawl()
    assert room.rows("SELECT order_id, price, extra FROM raw_orders ORDER BY 1") == [
        ("1", "1.00", None),
        ("2", "2.00", "X"),
    ]


def test_only_committed_files_are_read(sales: Room) -> None:
    stray = sales.root / "data/processed/sales/orders/order_date=2025-01-01/stray.parquet"
    duckdb.execute(f"COPY (SELECT 99 AS order_id) TO '{stray}' (FORMAT parquet)")
    assert sales.rows("SELECT count(*) FROM processed_orders") == [(4,)]
    sales.crawl(full=True)
    assert sales.rows("SELECT count(*) FROM processed_orders") == [(4,)]


@pytest.mark.parametrize(
    ("where", "partitions"),
    [
        ("order_date = '2025-01-01'", 1),
        ("order_date = DATE '2025-01-01'", 1),
        ("'2025-01-01' = order_date", 1),
        ("order_date IN ('2025-01-01', '2025-02-01')", 2),
        ("order_date IN (DATE '2025-01-01')", 1),
        ("order_date BETWEEN '2025-01-02' AND '2025-01-31'", 1),
        ("order_date > '2025-01-01' AND quantity > 0", 2),
        ("order_date >= DATE '2025-01-02' AND order_date < DATE '2025-02-01'", 1),
        ("order_date LIKE '2025-01%'", 2),
        ("substr(order_date, 1, 7) = '2025-02'", 1),
        ("CAST(order_date AS varchar) >= '2025-02'", 1),
        ("order_date >= '2025-02'", 1),
        ("date_trunc('month', CAST(order_date AS date)) = DATE '2025-01-01'", 2),
        ("order_date = '2025-1-1'", 0),
        ("order_date = '2030-01-01'", 0),
        ("order_date = '2025-01-01' OR order_date = '2025-02-01'", 2),
        ("quantity > 0", 3),
    ],
)
def test_conditions_on_the_partition_choose_the_files(asked: Room, where: str, partitions: int) -> None:
    result = asked.engine.run(f"SELECT count(*) FROM processed_orders WHERE {where}")
    assert result.partitions == (partitions, 3)
    chosen = {file.partition for file in asked.catalog.files("processed_orders")}
    assert result.files <= len(chosen) + 1


def test_an_outer_join_prunes_only_what_cannot_matter(asked: Room) -> None:
    sql = (
        "SELECT a.order_id, b.order_id FROM processed_orders a LEFT JOIN processed_orders b"
        " ON a.order_id = b.order_id AND b.quantity = 1 WHERE b.order_date IS NULL ORDER BY 1"
    )
    assert asked.rows(sql) == [(1, None), (3, None)]
    pruned = asked.engine.run(sql.replace("b.order_date IS NULL", "b.order_date = '2025-01-02'"))
    assert pruned.partitions == (3 + 1, 6)
    assert list(pruned.rows) == [(2, 2), (4, 4)]


def test_a_column_of_an_older_contract_is_null_in_its_files(sales: Room) -> None:
    from dataclasses import replace

    columns = tuple(one for one in sales.contract.columns if one.name != "product")
    older = replace(sales.contract, columns=columns, sha256="0" * 64)
    sales.load("c.csv", orders((9, "2025-03-01", 1, "1.00")), contract=older)
    sales.crawl()
    assert sales.rows("SELECT order_id, product FROM processed_orders WHERE order_id IN (1, 9) ORDER BY 1") == [
        (1, "Thing 1"),
        (9, None),
    ]


def test_files_of_an_older_contract_that_append_kept(room: Room) -> None:
    """The record tells the newest schema only, so the older files' own footers are asked."""
    from dataclasses import replace

    contract = replace(room.contract, on_rewrite="append")
    older = replace(contract, columns=tuple(one for one in contract.columns if one.name != "product"), sha256="0" * 64)
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")), contract=older)
    room.load("a.csv", orders((2, "2025-01-01", 1, "1.00")), contract=contract)
    room.crawl()
    assert room.rows("SELECT order_id, product FROM processed_orders ORDER BY 1") == [(1, None), (2, "Thing 2")]


def test_a_replaced_object_is_seen_old_or_new_but_never_both_or_neither(room: Room) -> None:
    """One thread rewrites an object again and again, and crawls only now and then; the others ask all the time."""
    count, versions = 7, 9

    def text(version: int) -> str:
        days = ("2025-01-01", "2025-01-02", "2025-01-03")
        return orders(*((number, days[number % 3], version, "1.00") for number in range(count)))

    room.load("a.csv", text(1))
    room.crawl()
    stop, seen, faults = threading.Event(), set(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                ((rows, distinct, version),) = room.rows(
                    "SELECT count(*), count(DISTINCT quantity), min(quantity) FROM processed_orders"
                )
            except Busy:
                continue
            seen.add(version)
            if (rows, distinct) != (count, 1):
                faults.append((rows, distinct, version))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for version in range(2, versions):
        room.load("a.csv", text(version))
        if version % 3 == 0:
            room.crawl()
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not faults
    assert len(seen) > 1
    # Not crawled since, and its old files are gone: the commit record tells.
    assert room.rows("SELECT count(*), min(quantity) FROM processed_orders") == [(count, versions - 1)]


def test_files_that_go_away_without_a_record_leave_nothing_to_read(sales: Room) -> None:
    for file in sales.catalog.files("processed_orders"):
        sales.store.delete("processed", file.key)
    with pytest.raises(Busy, match="replaced"):
        sales.rows("SELECT count(*) FROM processed_orders")


def test_a_damaged_file_is_no_endless_retry(sales: Room) -> None:
    file = sales.catalog.files("processed_orders")[0]
    (sales.root / "data/processed" / file.key).write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises(Exception) as caught:
        sales.rows("SELECT sum(quantity) FROM processed_orders")
    assert type(caught.value).__name__ in ("StorageUnavailable", "QueryError")


def test_show_and_describe(asked: Room) -> None:
    assert asked.rows("SHOW TABLES") == [("processed_orders",), ("quarantine_orders",), ("raw_orders",)]
    assert asked.rows("show partitions processed_orders;") == [
        ("order_date=2025-01-01",),
        ("order_date=2025-01-02",),
        ("order_date=2025-02-01",),
    ]
    described = asked.rows("DESCRIBE sales_dev.processed_orders")
    assert described[0][:2] == ("order_id", "bigint")
    assert described[-1][:3] == ("order_date", "date", "partition key")
    with pytest.raises(QueryError, match="processed_orders"):
        asked.rows("DESCRIBE processed_order")


def test_errors_say_where_and_what_may_be_meant(asked: Room) -> None:
    with pytest.raises(QueryError) as caught:
        asked.rows("SELECT\n  o.prodct FROM processed_orders o")
    assert caught.value.where["line"] == 2
    assert caught.value.where["column"] == 3
    assert 'Did you mean "product"?' in caught.value.hint
    with pytest.raises(QueryError) as caught:
        asked.rows("SELECT 1 FROM procesed_orders")
    assert 'Did you mean "processed_orders"?' in caught.value.hint
    assert (caught.value.where["line"], caught.value.where["column"]) == (1, 15)
    with pytest.raises(QueryError, match="cannot be read") as caught:
        asked.rows("SELECT FROM WHERE")
    assert caught.value.where["line"] == 1


def test_names_of_the_lake_and_of_athena_are_understood(asked: Room) -> None:
    for table in ("sales_dev.processed_orders", '"AwsDataCatalog"."sales_dev"."processed_orders"', "PROCESSED_ORDERS"):
        assert asked.rows(f"SELECT count(*) FROM {table}") == [(4,)]
    with pytest.raises(QueryError, match="database"):
        asked.rows("SELECT 1 FROM other.processed_orders")
    assert asked.rows("SELECT max(sales_dev.o.order_id) FROM processed_orders o") == [(4,)]


REFUSED = [
    "SELECT 1; SELECT 2",
    "",
    "DROP TABLE processed_orders",
    "CREATE TABLE t AS SELECT 1",
    "INSERT INTO processed_orders SELECT 1",
    "DELETE FROM processed_orders",
    "UPDATE processed_orders SET quantity = 1",
    "COPY processed_orders TO 'x'",
    "COPY (SELECT 1) TO 'x'",
    "WITH i AS (COPY (SELECT 1) TO 'f') SELECT 1",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'f'",
    "ATTACH 'x.db'",
    "PRAGMA version",
    "SET memory_limit = '9GB'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CALL pragma_version()",
    "EXPORT DATABASE 'x'",
    "UNLOAD (SELECT 1) TO 's3://x' WITH (format = 'PARQUET')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('x')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "/etc/passwd"',
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM sqlite_master",
    "SELECT getenv('HOME')",
    "SELECT current_setting('memory_limit')",
    "SELECT query('SELECT 1')",
    "SELECT error('x')",
    "SELECT athena_ratio(1, 2)",
    "SELECT nextval('x')",
    "SELECT * FROM room",
    "SELECT * FROM s1",
    "SELECT t1.order_id FROM processed_orders o",
    "SELECT * FROM TABLE(exclude_columns(TABLE(processed_orders), DESCRIPTOR(price)))",
    "SELECT * FROM processed_orders FOR TIMESTAMP AS OF TIMESTAMP '2020-01-01 00:00:00'",
    "PREPARE x FROM SELECT 1",
    "VACUUM",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "BEGIN",
    "USE memory",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_no_query_over_the_catalog_is_refused(asked: Room, sql: str) -> None:
    room = asked  # a Python variable that DuckDB could read, if it were let
    with pytest.raises(QueryError):
        room.engine.run(sql)


def test_text_cannot_break_out_of_its_quotes(asked: Room) -> None:
    for text in ("'; DROP TABLE x; --", "\\'", '"', "${x}", "\u2028", "a\tb"):
        quoted = text.replace("'", "''")
        assert asked.rows(f'SELECT \'{quoted}\' AS "a""b" FROM processed_orders LIMIT 1') == [(text,)]
    assert asked.rows('SELECT * FROM (SELECT 1 AS "x""; DROP") AS "t"" , s"') == [(1,)]


def test_the_session_reaches_only_its_files(asked: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a query could be made to say, DuckDB itself is held."""
    secret = asked.root / "secret.csv"
    secret.write_text("a\n1\n")
    attacks = [
        f"SELECT * FROM read_csv('{secret}')",
        f"SELECT * FROM '{secret}'",
        "SELECT * FROM read_text('/etc/passwd')",
        f"SELECT * FROM glob('{asked.root}/*')",
        "SELECT * FROM asked",
    ]
    for attack in attacks:
        monkeypatch.setattr("lakehead.query.engine._whole_sql", lambda *_, attack=attack: attack)
        with pytest.raises((QueryError, UnsupportedSql)):
            asked.engine.run("SELECT 1 FROM processed_orders")
    monkeypatch.undo()
    result = asked.engine.run("SELECT 1 FROM processed_orders")
    assert isinstance(result._answer, Answer)
    connection: Any = result._answer._connection
    file = next(iter(asked.catalog.files("processed_orders")))
    path = asked.root / "data/processed" / file.key
    before = path.read_bytes()
    for attack in (
        f"COPY (SELECT 1) TO '{path}' (FORMAT parquet)",
        f"COPY (SELECT 1) TO '{asked.root}/new.csv'",
        f"ATTACH '{asked.root}/new.db'",
        "SET enable_external_access = true",
        "SET memory_limit = '64GB'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(attack)
    assert path.read_bytes() == before
    assert not (asked.root / "new.csv").exists()
    result.close()


def test_a_query_that_takes_too_long_is_stopped(bare_engine: QueryEngine) -> None:
    big = "UNNEST(sequence(1, 100000))"
    with pytest.raises(QueryError, match="too long"):
        bare_engine.run(f"SELECT count(*) FROM {big} AS a(x), {big} AS b(y) WHERE x * y % 7 = 3", timeout_seconds=0.3)


def test_a_query_that_needs_too_much_memory_is_stopped(asked: Room) -> None:
    engine = QueryEngine(asked.catalog, asked.store, cache_dir=asked.root / "cache", memory_limit="20MB", threads=1)
    with pytest.raises(QueryError, match="memory"):
        engine.run(
            "SELECT array_agg(x || 'abcdefghijklmnopqrstuvwxyz') FROM"
            " (SELECT CAST(y AS varchar) AS x FROM UNNEST(sequence(1, 2000000)) AS t(y)) AS u"
        )


@pytest.mark.parametrize(
    "sql", ["SELECT " + "(" * 400 + "1" + ")" * 400, "SELECT " + "- " * 3000 + "1", "SELECT " + "NOT " * 3000 + "true"]
)
def test_deep_nesting_is_an_error_and_no_crash(bare_engine: QueryEngine, sql: str) -> None:
    with pytest.raises(QueryError):
        bare_engine.run(sql)


def test_long_chains_are_fine(asked: Room) -> None:
    chain = " OR ".join(f"order_id = {number}" for number in range(500))
    assert asked.rows(f"SELECT count(*) FROM processed_orders WHERE {chain}") == [(4,)]


def test_rows_are_limited_and_said_to_be(asked: Room) -> None:
    result = asked.engine.run("SELECT order_id FROM processed_orders ORDER BY order_id DESC", max_rows=2)
    assert (list(result.rows), result.truncated, result.row_count) == ([(4,), (3,)], True, 2)
    result = asked.engine.run("SELECT order_id FROM processed_orders ORDER BY order_id DESC", max_rows=4)
    assert (len(list(result.rows)), result.truncated) == (4, False)


def test_order_holds_over_many_rows(bare_engine: QueryEngine) -> None:
    for limit in (None, 250_000):
        rows = bare_engine.run("SELECT x FROM UNNEST(sequence(1, 300000)) t(x) ORDER BY x DESC", max_rows=limit).rows
        numbers = [row[0] for row in rows]
        assert numbers == list(range(300000, 300000 - len(numbers), -1))


def test_answers_go_into_parquet(asked: Room) -> None:
    target = asked.root / "out.parquet"
    with asked.engine.run(
        "SELECT order_date, total_amount, 1 AS a, 2 AS a, from_unixtime(0) AS t FROM processed_orders ORDER BY order_id"
    ) as result:
        result.write_parquet(target)
    found = duckdb.execute(f"SELECT * FROM '{target}'").fetchall()
    assert found[0][:4] == (date(2025, 1, 1), Decimal("21.00"), 1, 2)
    assert len(found) == 4


def test_nothing_is_left_behind(asked: Room, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(aside))
    asked.rows("SELECT * FROM processed_orders")
    with pytest.raises(QueryError):
        asked.rows("SELECT 1 / 0 FROM processed_orders")
    assert list(aside.iterdir()) == []


@pytest.mark.parametrize("name", ["daily_revenue", "top_products", "average_order_value"])
def test_the_shipped_queries_answer_alike_for_a_string_key(sales: Room, name: str) -> None:
    query = next(one for one in named_queries(QUERIES) if one.name == name)
    assert query.description.endswith((".", "?"))
    typed = sales.rows(query.sql)
    assert typed
    assert not any(isinstance(value, float) for row in typed for value in row)
    # AWS's crawlers make the same partition key a string.
    with sales.catalog.write() as connection:
        connection.execute("UPDATE tables SET partition_keys = replace(partition_keys, '\"date\"', '\"string\"')")
    assert sales.rows(query.sql) == typed


def test_named_queries_are_read_from_a_folder(tmp_path: Path) -> None:
    assert named_queries(tmp_path / "none") == []
    (tmp_path / "b.sql").write_text("-- What\n-- for?\nSELECT 1", encoding="utf-8")
    (tmp_path / "a.sql").write_text("/* Said\n * so. */ SELECT 2 -- not this", encoding="utf-8")
    (tmp_path / "note.txt").write_text("no")
    assert [(one.name, one.description) for one in named_queries(tmp_path)] == [("a", "Said so."), ("b", "What for?")]


@pytest.mark.parametrize("folder", ["a[1]b", "a*b", "a?b", "it's", "a{x}b", "a=1", "a b%20c"])
def test_a_lake_may_lie_in_a_folder_of_any_name(tmp_path: Path, loader: DuckDBEngine, folder: str) -> None:
    with open_room(tmp_path / folder, loader) as room:
        room.load("a [1]*.csv", orders((1, "2025-01-01", 1, "1.00")))
        room.crawl()
        assert room.rows("SELECT order_id, order_date FROM processed_orders") == [(1, date(2025, 1, 1))]
        assert room.rows("SELECT order_id, ingest_date FROM raw_orders") == [("1", "2025-01-01")]


def test_a_lake_below_a_folder_that_looks_like_a_partition(tmp_path: Path, loader: DuckDBEngine) -> None:
    with open_room(tmp_path / "lake", loader) as room:
        room.load("a.csv", orders((1, "2025-01-01", 1, "1.00"), (2, "2025-01-02", 1, "1.00")))
        room.crawl()
    moved = tmp_path / "order_date=2020-01-01" / "ingest_date=2020-01-01"
    moved.mkdir(parents=True)
    (tmp_path / "lake").rename(moved / "lake")
    with open_room(moved / "lake", loader) as room:
        found = [(1, date(2025, 1, 1)), (2, date(2025, 1, 2))]
        assert room.rows("SELECT order_id, order_date FROM processed_orders ORDER BY 1") == found
        assert room.rows("SELECT order_id FROM processed_orders WHERE order_date > '2025-01-01'") == [(2,)]
        assert room.rows("SELECT DISTINCT ingest_date FROM raw_orders") == [("2025-01-01",)]
