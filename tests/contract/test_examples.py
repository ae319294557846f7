"""The contracts that come with Lakehead: real sales give the known figures, and the first lake shows what it should."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lakehead.contract import load_contract
from lakehead.contract.plan import column_plan

EXAMPLES = Path(str(files("lakehead.examples")))


@pytest.mark.shared
def test_real_sales_give_the_known_figures(db: duckdb.DuckDBPyConnection, shared: Path) -> None:
    contract = load_contract(EXAMPLES / "retail/contracts/sales/orders.odcs.yaml")
    plan = column_plan(contract)
    names = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    source = (
        f"(SELECT ROW_NUMBER() OVER () AS _line, * FROM read_csv('{shared}/*.csv', columns={{{columns}}}, "
        "header=true, delim=',', quote='\"', escape='\"', auto_detect=false))"
    )
    db.execute(f"CREATE OR REPLACE TEMP TABLE sales AS {plan.select_sql(source)}")
    good = "FROM sales WHERE LEN(_reasons) = 0"
    assert db.execute("SELECT COUNT(*), SUM(total_amount) FROM sales").fetchone() == (541_909, Decimal("9747747.934"))
    assert db.execute(f"SELECT COUNT(*), SUM(total_amount) {good}").fetchone() == (406_829, Decimal("8300065.814"))
    reasons = db.execute("SELECT UNNEST(_reasons) AS reason, COUNT(*) FROM sales GROUP BY 1 ORDER BY 2 DESC").fetchall()
    assert reasons == [("customer_id: required", 135_080), ("price: less than 0", 2)]
    top = f"SELECT product, SUM(quantity) AS units {good} GROUP BY 1 ORDER BY 2 DESC LIMIT 1"
    assert db.execute(top).fetchone() == ("WORLD WAR 2 GLIDERS ASSTD DESIGNS", 53_215)
    day = f"SELECT CAST(order_date AS VARCHAR), SUM(total_amount) AS revenue {good} GROUP BY 1 ORDER BY 2 DESC LIMIT 1"
    found = db.execute(day).fetchone()
    assert found is not None
    assert (found[0], round(found[1], 2)) == ("2011-09-20", Decimal("103385.26"))


@pytest.mark.parametrize("example", ["sales", "retail"])
def test_an_example_is_a_contract_of_its_dataset(example: str) -> None:
    contract = load_contract(EXAMPLES / example / "contracts/sales/orders.odcs.yaml")
    assert contract.dataset == "sales/orders"
    assert (contract.raw_table, contract.processed_table, contract.quarantine_table) == (
        "raw_orders",
        "processed_orders",
        "quarantine_orders",
    )
    assert contract.partitions == ("order_date",)
    assert all(column.description for column in contract.columns)


def test_the_first_contract_sorts_orders(judge: Callable[..., list[Any]]) -> None:
    contract = load_contract(EXAMPLES / "sales/contracts/sales/orders.odcs.yaml")
    rows = [
        "1001,C001,Laptop,1,75000,2025-01-01",
        "1002,C002,Mouse,-2,500,2025-01-01",
        "1003,,Keyboard,1,1500,2025-01-02",
        "1004,C003,Headset,abc,4200,2025-01-03",
        "1005,C003,Mouse,1,500,2025-02-30",
        "1006,C001,Docking station,1,-9999,2025-01-05",
        "x,,,1.5,1.005,05/01/2025",
    ]
    names = [column.name for column in contract.source_columns]
    found = judge(contract, [dict(zip(names, row.split(","), strict=True)) for row in rows])
    assert [row.values["total_amount"] for row in found[:2]] == [Decimal("75000.00"), Decimal("-1000.00")]
    assert [row.reasons for row in found] == [
        [],
        [],
        ["customer_id: required"],
        ["quantity: not an integer"],
        ["order_date: not a date (yyyy-MM-dd)"],
        ["price: less than 0"],
        [
            "order_id: not an integer",
            "customer_id: required",
            "product: required",
            "quantity: not an integer",
            "price: does not fit decimal(12,2) without loss",
            "order_date: not a date (yyyy-MM-dd)",
        ],
    ]
