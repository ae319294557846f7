"""The crawler that stands in for Glue's: what it leaves out, and what it makes of folders."""

from __future__ import annotations

import re

import pytest
from support.emulator.inference import Dialect, csv_schema, glob, partition_keys, partitions
from support.terraform import INFRA

(EXCLUSIONS,) = re.findall(r"exclusions = \[(.*)\]", (INFRA / "modules/catalog/locals.tf").read_text(encoding="utf-8"))
DEEP = "sales/orders/ingest_date=2025-01-0{}/orders.csv"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("orders.csv", True),
        ("ingest_date=2025-01-03/orders_1.csv", True),
        ("_tmp/orders.csv", False),
        (".hidden", False),
        ("_success", False),
        ("ingest_date=2025-01-03/_tmp/deep/orders.csv", False),
        ("ingest_date=2025-01-03/.orders.csv.part", False),
    ],
)
def test_the_deployed_exclusions_leave_out_hidden_names(key: str, shown: bool) -> None:
    patterns = [glob(pattern) for pattern in re.findall(r'"([^"]+)"', EXCLUSIONS)]
    assert len(patterns) >= 4
    assert shown is not any(pattern.fullmatch(key) for pattern in patterns)


def test_a_star_stays_in_its_folder() -> None:
    assert glob("*.csv").fullmatch("a.csv") and not glob("*.csv").fullmatch("a/b.csv")
    assert glob("**/b.csv").fullmatch("b.csv") and glob("**/b.csv").fullmatch("a/c/b.csv")


def test_folders_below_the_table_are_partitions() -> None:
    keys = [DEEP.format(day) for day in (1, 1, 2)]
    assert partition_keys(keys, 2) == ("ingest_date",)
    assert partitions(keys, 2) == ("ingest_date=2025-01-01", "ingest_date=2025-01-02")


def test_a_raw_table_has_only_strings() -> None:
    dialect = Dialect.of({"Delimiter": ";", "QuoteSymbol": '"', "ContainsHeader": "PRESENT"})
    assert csv_schema("a.csv", b"Order_ID;Price\n1;2\n", dialect) == (("order_id", "string"), ("price", "string"))
