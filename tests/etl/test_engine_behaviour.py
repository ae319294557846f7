"""What becomes of nasty files, whatever the engine and the way of reading."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lakehead import examples
from lakehead.contract import Contract, load_contract
from lakehead.errors import (
    HeaderMismatch,
    LakeheadError,
    QualityCheckFailed,
    SourceError,
    TooLarge,
    TooManyQuarantined,
)
from lakehead.model import ObjectVersion

HEADER = "order_id,customer_id,product,quantity,price,order_date"
A, Z = "1,CA,prod,1,1.00,2025-01-01", "9,CZ,prod,9,9.00,2025-01-09"
A_ROW = ("order_date=2025-01-01", 1, "CA", "prod", 1, Decimal("1.00"), Decimal("1.00"))
Z_ROW = ("order_date=2025-01-09", 9, "CZ", "prod", 9, Decimal("9.00"), Decimal("81.00"))
ORIGIN = ObjectVersion("raw", "sales/orders/orders.csv", "etag-1")
FEW, MANY = "record: too few fields", "record: too many fields"
STRAY = "record: a quote within a field that does not begin with one"
WHOLE = "record: a quoted field that holds whole records"
OPEN, AFTER, AGAIN = "record: a quote is not closed", "record: text after a closing quote", "record: the header again"
Dropped = list[tuple[int, str, list[str]]]


def row(order: int, product: str | None, customer: str = "C2") -> tuple[Any, ...]:
    return ("order_date=2025-01-02", order, customer, product, 2, Decimal("2.00"), Decimal("4.00"))


def good(product: str) -> str:
    return f"2,C2,{product},2,2.00,2025-01-02"


def bad(text: str, *reasons: str, line: int = 3) -> tuple[int, str, list[str]]:
    return (line, text, list(reasons))


# name: the lines between A and Z, the rows between A's and Z's, what is quarantined
NASTY: dict[str, tuple[str, list[tuple[Any, ...]], Dropped]] = {
    "nothing": ("", [], []),
    "blank lines": ("\n   \n\t\n", [], []),
    "backslash": (good("a\\b"), [row(2, "a\\b")], []),
    "backslash is no escape": (good('"pro\\"duct"'), [], [bad(good('"pro\\"duct"'), AFTER)]),
    "comment": (good("#x"), [row(2, "#x")], []),
    "comment at the start": (
        "#2,C2,x,2,2.00,2025-01-02",
        [],
        [bad("#2,C2,x,2,2.00,2025-01-02", "order_id: not an integer")],
    ),
    "ctrl z": (good("pr\x1aod"), [row(2, "pr\x1aod")], []),
    "doubled quotes": (good('"pro""d""uct"'), [row(2, 'pro"d"uct')], []),
    "header again": (HEADER, [], [bad(HEADER, AGAIN)]),
    "header again, quoted": (
        HEADER.replace("product", '"product"'),
        [],
        [bad(HEADER.replace("product", '"product"'), AGAIN)],
    ),
    "newline in quotes": (good('"pro\nduct"'), [row(2, "pro\nduct")], []),
    "crlf in quotes": (good('"pro\r\nduct"'), [row(2, "pro\r\nduct")], []),
    "lone cr in quotes": (good('"pro\rduct"'), [row(2, "pro\rduct")], []),
    "blank line in quotes": (good('"pro\n\n\nduct"'), [row(2, "pro\n\n\nduct")], []),
    "empty": (good(""), [row(2, None)], []),
    "empty in quotes": (good('""'), [row(2, None)], []),
    "only blanks": (good("   "), [row(2, None)], []),
    "required empty": ("2,,x,2,2.00,2025-01-02", [], [bad("2,,x,2,2.00,2025-01-02", "customer_id: required")]),
    "too long": (
        good("x,EXTRA") + "\n" + good("x") + ",",
        [],
        [bad(good("x,EXTRA"), MANY), bad(good("x") + ",", MANY, line=4)],
    ),
    "one empty field too many": (good("x") + ",", [], [bad(good("x") + ",", MANY)]),
    "malformed rows before and after a broken one": (
        "2,C2\n" + good("x").replace("2", "x", 1) + "\n2,C2",
        [],
        [
            bad("2,C2", FEW),
            bad(good("x").replace("2", "x", 1), "order_id: not an integer", line=4),
            bad("2,C2", FEW, line=5),
        ],
    ),
    "too short": ("2,C2,x,2", [], [bad("2,C2,x,2", FEW)]),
    "too short and too long": (
        "2,C2,x,2,2.00\n" + good("x") + ",",
        [],
        [bad("2,C2,x,2,2.00", FEW), bad(good("x") + ",", MANY, line=4)],
    ),
    "only commas": (
        ",,,,,",
        [],
        [
            bad(
                ",,,,,",
                *(f"{name}: required" for name in ("order_id", "customer_id", "quantity", "price", "order_date")),
            )
        ],
    ),
    "mixed line ends": (good("a") + "\r\n" + good("b") + "\r" + good("c"), [row(2, "a"), row(2, "b"), row(2, "c")], []),
    "null words are text": (good("NULL"), [row(2, "NULL")], []),
    "padded": (" 2 , C2 , x ,2 , 2.00, 2025-01-02 ", [row(2, "x")], []),
    "no-break space": (good("\u00a0x\u00a0"), [row(2, "x")], []),
    "other scripts": (good("Größe 日本 🎁"), [row(2, "Größe 日本 🎁")], []),
    "unicode line separators are text": (
        good("a\u2028b\x85c\x0bd\x0ce\x1cf"),
        [row(2, "a\u2028b\x85c\x0bd\x0ce\x1cf")],
        [],
    ),
    "quote inside": (good('6" pipe'), [], [bad(good('6" pipe'), STRAY)]),
    "quoted comma": (good('"a,b"'), [row(2, "a,b")], []),
    "all quoted": ('"2","C2","x","2","2.00","2025-01-02"', [row(2, "x")], []),
    "space before a quote": (good(' "x"'), [], [bad(good(' "x"'), STRAY)]),
    "space before a quote with a comma": (good(' "a,b"'), [], [bad(good(' "a,b"'), MANY)]),
    "text after a quote": (good('"pro"duct'), [], [bad(good('"pro"duct'), AFTER)]),
    "space after a quote": (good('"pro" '), [], [bad(good('"pro" '), AFTER)]),
    "open quote": (good('"product') + "\n" + good("b"), [row(2, "b")], [bad(good('"product'), OPEN)]),
    "open quote over good rows": (
        good('"a') + "\n" + "\n".join(good(f"b{n}") for n in range(5)),
        [row(2, f"b{n}") for n in range(5)],
        [bad(good('"a'), OPEN)],
    ),
    "two open quotes that make a record": (
        good('"a') + "\n" + good('b"'),
        [],
        [bad(good('"a') + "\n" + good('b"'), WHOLE)],
    ),
    "two open quotes that make none": (
        good('"a') + "\n" + good("b") + "\n" + good('"c"'),
        [row(2, "b"), row(2, "c")],
        [bad(good('"a'), OPEN)],
    ),
    "short record of two lines": ('2,"C\n2",x', [], [bad('2,"C', OPEN), bad('2",x', FEW, line=4)]),
    "long field": (good("x" * 100_000), [row(2, "x" * 100_000)], []),
    "quoted numbers": ('"2",C2,x," 2 ","2.00","2025-01-02"', [row(2, "x")], []),
    "zeros and signs": ("+002,C2,x,+2,2.0000,2025-01-02", [row(2, "x")], []),
}
# a value in a column that refuses it, and why
REFUSED = [
    ("order_id", "1e3", "not an integer"),
    ("order_id", "1,000", ""),
    ("order_id", "1.0", "not an integer"),
    ("order_id", "0x10", "not an integer"),
    ("order_id", "1_000", "not an integer"),
    ("order_id", "9223372036854775808", "overflows bigint"),
    ("quantity", "2147483648", "overflows integer"),
    ("quantity", "1.5", "not an integer"),
    ("quantity", "\u0661", "not an integer"),
    ("price", "1.005", "does not fit decimal(12,2) without loss"),
    ("price", "1e3", "not a number"),
    ("price", "12345678901.00", "overflows decimal(12,2)"),
    ("price", "infinity", "not a number"),
    ("price", "nan", "not a number"),
    ("price", "£5", "not a number"),
    ("order_date", "2025-02-30", "not a date"),
    ("order_date", "2025/01/02", "not a date"),
    ("order_date", "2025-1-2", "not a date"),
    ("order_date", "infinity", "not a date"),
    ("order_date", "2025-01-02 00:00:00", "not a date"),
]


SHARED = [name for name, (lines, _, dropped) in NASTY.items() if "\r" not in lines and OPEN not in str(dropped)]
"""Those that no open quote and no line end of their own can carry into each other: they may stand in one file."""
ALONE = [name for name in NASTY if name not in SHARED]
# A load by Spark takes a second, so it gets one by one what has to be alone, and all the others in one file.
one_by_one = pytest.mark.parametrize("engine", ["duckdb", "duckdb-careful"], indirect=True)


@pytest.mark.parametrize(
    ("engine", "name"),
    [*itertools.product(["duckdb", "duckdb-careful"], NASTY), *(("spark", name) for name in ALONE)],
    indirect=["engine"],
)
def test_nasty_lines(load: Callable[..., Any], name: str) -> None:
    lines, rows, quarantine = NASTY[name]
    loaded = load(f"{HEADER}\n{A}\n{lines}\n{Z}\n")
    assert loaded.quarantine == quarantine
    assert loaded.rows == [A_ROW, *rows, Z_ROW]


@one_by_one
@pytest.mark.parametrize("name", [name for name in NASTY if "\r" not in NASTY[name][0]])
def test_nasty_lines_with_crlf(load: Callable[..., Any], name: str) -> None:
    lines, rows, quarantine = NASTY[name]
    loaded = load(f"{HEADER}\n{A}\n{lines}\n{Z}".replace("\n", "\r\n"))
    assert loaded.quarantine == [(line, text.replace("\n", "\r\n"), why) for line, text, why in quarantine]
    expected = [tuple(cell.replace("\n", "\r\n") if isinstance(cell, str) else cell for cell in one) for one in rows]
    assert loaded.rows == [A_ROW, *expected, Z_ROW]


@one_by_one
@pytest.mark.parametrize("name", [n for n in NASTY if not {"\n", "\r"} & set(NASTY[n][0].strip())])
def test_nasty_lines_with_lone_cr(load: Callable[..., Any], name: str) -> None:
    lines, rows, quarantine = NASTY[name]
    loaded = load(f"{HEADER}\r{A}\r{lines}\r{Z}\r".replace("\n", "\r"))
    assert loaded.quarantine == quarantine and loaded.rows == [A_ROW, *rows, Z_ROW]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_nasty_lines_in_one_file(load: Callable[..., Any], end: str) -> None:
    text, rows, quarantine, line = f"{HEADER}\n", [], [], 2
    for lines, good_rows, dropped in (NASTY[name] for name in SHARED):
        if end == "\r" and "\n" in lines.strip():
            continue
        text += f"{A}\n{lines}\n"
        rows += [A_ROW, *(tuple(c.replace("\n", end) if isinstance(c, str) else c for c in one) for one in good_rows)]
        quarantine += [(number + line - 2, kept.replace("\n", end), reasons) for number, kept, reasons in dropped]
        line += 2 + lines.count("\n")
    loaded = load(text.replace("\n", end))
    assert loaded.quarantine == quarantine
    assert loaded.rows == sorted(rows, key=lambda row: str(row[0]))
    assert len(rows) >= 45


@one_by_one
@pytest.mark.parametrize(("column", "value", "reason"), REFUSED, ids=[f"{c}={v}" for c, v, _ in REFUSED])
def test_refused_values(load: Callable[..., Any], column: str, value: str, reason: str) -> None:
    cells = dict(zip(HEADER.split(","), good("x").split(","), strict=True)) | {column: value}
    text = ",".join(cells.values())
    loaded = load(f"{HEADER}\n{A}\n{text}\n{Z}\n")
    assert loaded.rows == [A_ROW, Z_ROW]
    ((line, kept, reasons),) = loaded.quarantine
    assert (line, kept) == (3, text)
    assert reasons == [MANY] if "," in value else (len(reasons) == 1 and reasons[0].startswith(f"{column}: {reason}"))


def test_refused_values_in_one_file(load: Callable[..., Any]) -> None:
    rows = [dict(zip(HEADER.split(","), good("x").split(","), strict=True)) | {name: v} for name, v, _ in REFUSED]
    loaded = load("\n".join([HEADER, A, *(",".join(row.values()) for row in rows), Z]) + "\n")
    assert loaded.rows == [A_ROW, Z_ROW]
    for (column, value, reason), (line, _, reasons) in zip(REFUSED, loaded.quarantine, strict=True):
        assert line == loaded.quarantine[0][0] + REFUSED.index((column, value, reason))
        assert reasons == [MANY] if "," in value else reasons[0].startswith(f"{column}: {reason}")


def test_every_reason_of_a_row_is_told_and_counted(load: Callable[..., Any]) -> None:
    loaded = load(f"{HEADER}\n{A}\nx,,p,1e3,1.005,2025-02-30\nx,C,p,1,1,2025-01-01\n")
    assert loaded.quarantine[0][2] == [
        "order_id: not an integer",
        "customer_id: required",
        "quantity: not an integer",
        "price: does not fit decimal(12,2) without loss",
        "order_date: not a date (yyyy-MM-dd)",
    ]
    assert loaded.result.reasons["order_id: not an integer"] == 2
    assert loaded.counts == (3, 1, 2)


def test_overflow_of_a_computed_column_is_quarantined(load: Callable[..., Any]) -> None:
    text = "2,C2,x,2147483647,9999999999.99,2025-01-02"
    loaded = load(f"{HEADER}\n{A}\n{text}\n{Z}\n")
    assert loaded.quarantine == [(3, text, ["total_amount: overflows decimal(14,2)"])]


@pytest.mark.parametrize("text", ["", "\n", "\r\n\r\n", "  \n\t\n", "\ufeff", "\ufeff\n"])
def test_empty_files_give_no_rows_and_say_so(load: Callable[..., Any], text: str) -> None:
    loaded = load(text)
    assert loaded.counts == (0, 0, 0) and not loaded.result.files
    assert loaded.result.warnings == ("the file is empty: no rows",)


@pytest.mark.parametrize("text", [HEADER, HEADER + "\n", HEADER + "\r\n\r\n", f"\n\n{HEADER}\n\n", f"\ufeff{HEADER}\r"])
def test_header_only_files_give_no_rows_and_say_so(load: Callable[..., Any], text: str) -> None:
    loaded = load(text)
    assert loaded.counts == (0, 0, 0) and not loaded.result.files
    assert loaded.result.warnings == ("the file holds only a header: no rows",)


def test_a_single_row_without_line_end(load: Callable[..., Any]) -> None:
    assert load(f"{HEADER}\n{A}").rows == [A_ROW]


def test_columns_in_another_order_with_others_between(load: Callable[..., Any]) -> None:
    loaded = load("note,ORDER_DATE, quantity ,price,customer_id,product,Order_ID,\nhi,2025-01-01,1,1.00,CA,prod,1,\n")
    assert loaded.rows == [A_ROW]
    assert loaded.result.warnings == ("columns the contract does not read: note, (no name)",)


def test_a_missing_optional_column_is_null(load: Callable[..., Any]) -> None:
    loaded = load("order_id,customer_id,quantity,price,order_date\n1,CA,1,1.00,2025-01-01\n")
    assert loaded.rows == [(*A_ROW[:3], None, *A_ROW[4:])]
    assert loaded.result.warnings == ("the optional column 'product' is missing and counts as null",)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("order_id,product,quantity,price,order_date\n1,2,3,4,5\n", "customer_id", "misses the required column"),
        (f"{HEADER},price\n{A},1\n", "price", "names the column 'price' 2 times"),
        (HEADER.replace(",", ";") + "\n", "order_id", "The file is cut by ';' but the contract says ','; set csvDelim"),
        (HEADER.replace(",", "\t") + "\n", "order_id", "cut by a tab"),
        (f"Report of May\n\n{HEADER}\n{A}\n", "order_id", "The header stands in line 3; remove the lines above it."),
        (f"{A}\n{Z}\n", "order_id", "set csvHeader to false if the file has none"),
        ("Order_Id,ORDER_ID,customer_id,quantity,price,order_date\n", "order_id", "both 'Order_Id' and 'ORDER_ID'"),
        ('order_id,"customer_id\n1,2\n', None, "the header cannot be read: a quote is not closed"),
        (HEADER.replace("product", 'pro"duct') + "\n", None, "cannot be read: a quote within a field"),
        (
            HEADER.replace("product", "item") + "\n",
            "product",
            "has 'item' in the place of the optional column 'product'",
        ),
        (HEADER.replace("product", "") + "\n", "product", "a column without a name in the place of"),
        (HEADER.replace("product", "PRICE") + "\n", "price", "names the column 'price' 2 times"),
    ],
)
def test_headers_that_do_not_fit(load: Callable[..., Any], text: str, column: str | None, words: str) -> None:
    with pytest.raises(HeaderMismatch) as caught:
        load(text)
    assert words in str(caught.value)
    assert caught.value.where["line"] == 1 and caught.value.where.get("column") == column
    assert caught.value.where["key"] == "sales/orders/orders.csv" and caught.value.where["dataset"] == "sales/orders"
    assert caught.value.hint


def test_files_without_header_are_read_by_position(
    load: Callable[..., Any], make_contract: Callable[..., Contract], orders: Contract
) -> None:
    properties = _properties(orders)
    loaded = load(f"{A}\n{HEADER}\n2,C\n{Z}\n", make_contract(*properties, csvHeader=False))
    assert loaded.rows == [A_ROW, Z_ROW]
    assert [line for line, _, _ in loaded.quarantine] == [2, 3]
    assert load("\n", make_contract(*properties, csvHeader=False)).counts == (0, 0, 0)


@pytest.mark.parametrize(("delimiter", "quote"), [(";", '"'), ("\t", "'"), ("|", '"'), (":", "~"), ("^", "'")])
def test_other_dialects(
    load: Callable[..., Any], make_contract: Callable[..., Contract], orders: Contract, delimiter: str, quote: str
) -> None:
    contract = make_contract(*_properties(orders), csvDelimiter=delimiter, csvQuote=quote)
    cells = ["2", "C2", f"{quote}a{delimiter}{quote}{quote}b, {quote}", "2", "2.00", "2025-01-02"]
    plain = f"{HEADER}\n{A}\n2,C2,x y,2,2.00,2025-01-02\n{Z}\n".replace(",", delimiter)
    assert load(plain, contract).rows == [A_ROW, row(2, "x y"), Z_ROW]
    text = f"{HEADER}\n{A}\n".replace(",", delimiter) + delimiter.join(cells) + "\n"
    assert load(text, contract).rows == [A_ROW, row(2, f"a{delimiter}{quote}b,")]


def test_null_texts_and_unique_keys(
    load: Callable[..., Any], make_contract: Callable[..., Contract], orders: Contract
) -> None:
    properties = _properties(orders)
    properties[0]["unique"] = True
    contract = make_contract(*properties, csvNullTexts=["NA"])
    loaded = load(f"{HEADER}\n{A}\n{good('NA')}\n{good('again')}\n,,,,,\n,,,,,\n{Z}\n", contract)
    assert loaded.rows == [A_ROW, row(2, None), Z_ROW]
    assert loaded.quarantine[0] == (4, good("again"), ["order_id: not unique"])
    assert [line for line, _, _ in loaded.quarantine] == [4, 5, 6]


def test_one_column(load: Callable[..., Any], make_contract: Callable[..., Contract]) -> None:
    contract = make_contract({"name": "name", "logicalType": "string"})
    loaded = load('name\na\n\n  \n" "\n""\nb,c\nname\n"b,c"\n', contract)
    assert loaded.rows == [("a",), (None,), (None,), ("b,c",)]
    assert loaded.quarantine == [(7, "b,c", [MANY]), (8, "name", [AGAIN])]


def test_records_and_lines_that_are_too_long(load: Callable[..., Any]) -> None:
    fits, large = good("x" * (1 << 20))[: (1 << 20) - 11] + ",2,2.00,2025-01-02"[-11:], good("y" * (1 << 20))
    loaded = load(f"{HEADER}\n{A}\n{large}\n{Z}\n")
    assert loaded.quarantine == [(3, large, ["record: longer than 1048576 characters"])]
    assert loaded.rows == [A_ROW, Z_ROW] and len(fits) == 1 << 20
    quotes = good('"' + '""' * 500_000 + '"')
    assert load(f"{HEADER}\n{quotes}\n{Z}\n").rows == [row(2, '"' * 500_000), Z_ROW]
    with pytest.raises(TooLarge, match="longer than 8388608 bytes"):
        load(f"{HEADER}\n{A}\n{good('z' * (9 << 20))}\n{Z}\n")


def test_an_open_quote_before_much_text_loses_only_its_line(load: Callable[..., Any]) -> None:
    lines = [A, good('"open'), *[f"{n},C,{'p' * 90},1,1,2025-02-01" for n in range(15_000)], Z]
    loaded = load(HEADER + "\n" + "\n".join(lines) + "\n")
    assert loaded.counts == (15_003, 15_002, 1)
    assert loaded.quarantine == [(3, good('"open'), [OPEN])]


def test_every_row_bad_fails_the_file(load: Callable[..., Any]) -> None:
    with pytest.raises(TooManyQuarantined) as caught:
        load(f"{HEADER}\nx,C,p,1,1,2025-01-01\n2,C,p,1e3,1,2025-01-01\ny,C,p,1,1,2025-01-01\nz\n")
    assert "all 4 rows break the contract: order_id: not an integer (2 rows, first in line 2)" in str(caught.value)
    assert caught.value.where["line"] == 2 and caught.value.hint


def test_a_share_of_bad_rows_fails_the_file(
    load: Callable[..., Any], make_contract: Callable[..., Contract], orders: Contract
) -> None:
    contract = make_contract(*_properties(orders), maxQuarantinedShare=0.5)
    assert load(f"{HEADER}\n{A}\nbad\n", contract).counts == (2, 1, 1)
    with pytest.raises(TooManyQuarantined, match="2 of 3 rows"):
        load(f"{HEADER}\n{A}\nbad\nx,C,p,1,1,2025-01-01\n", contract)


def test_quality_checks_of_the_file(
    load: Callable[..., Any], make_contract: Callable[..., Contract], orders: Contract
) -> None:
    quality: list[dict[str, Any]] = [{"metric": "rowCount", "mustBeGreaterThan": 1}]
    contract = make_contract(*_properties(orders), schema={"quality": quality})
    assert load(f"{HEADER}\n{A}\n{Z}\n", contract).counts == (2, 2, 0)
    with pytest.raises(QualityCheckFailed, match="must be greater than 1"):
        load(f"{HEADER}\n{A}\nbad\n", contract)
    contract = make_contract(*_properties(orders), schema={"quality": [{**quality[0], "severity": "warning"}]})
    (warning,) = load(f"{HEADER}\n{A}\nbad\n", contract).result.warnings
    assert warning.startswith("quality: ")


def test_partitions_of_odd_values(load: Callable[..., Any], make_contract: Callable[..., Contract]) -> None:
    key = {"required": True, "partitioned": True}
    contract = make_contract(
        {"name": "id", "logicalType": "integer", "physicalType": "bigint"},
        {"name": "year", "logicalType": "integer", "physicalType": "integer", "partitionKeyPosition": 2, **key},
        {"name": "shop", "logicalType": "string", "partitionKeyPosition": 1, **key},
    )
    loaded = load(
        "id,shop,year\n1,a/b=c:%,2025\n2,,2025\n3,Größe x,2025\n4,..,-1\n5,a/b=c:%,2025\n6,[a],2024\n", contract
    )
    assert sorted(loaded.rows) == [
        ("shop=%5Ba%5D/year=2024", 6),
        ("shop=../year=-1", 4),
        ("shop=Größe x/year=2025", 3),
        ("shop=a%2Fb%3Dc%3A%25/year=2025", 1),
        ("shop=a%2Fb%3Dc%3A%25/year=2025", 5),
    ]
    assert loaded.quarantine == [(3, "2,,2025", ["shop: required"])]
    with pytest.raises(SourceError, match="too long for the name of a folder"):
        load(f"id,shop,year\n1,{'ä' * 200},2025\n", contract)


def test_the_types_in_the_files(load: Callable[..., Any], reader: duckdb.DuckDBPyConnection) -> None:
    loaded = load(f"{HEADER}\n{A}\nbad\n")
    (file,) = loaded.result.files
    described = reader.execute(f"DESCRIBE FROM read_parquet('{file.path}', hive_partitioning=false)").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == [
        ("order_id", "BIGINT"),
        ("customer_id", "VARCHAR"),
        ("product", "VARCHAR"),
        ("quantity", "INTEGER"),
        ("price", "DECIMAL(12,2)"),
        ("total_amount", "DECIMAL(14,2)"),
    ]
    facts = reader.execute(f"SELECT DISTINCT compression, stats_min IS NOT NULL FROM parquet_metadata('{file.path}')")
    assert facts.fetchall() == [("ZSTD", True)]
    described = reader.execute(f"DESCRIBE FROM '{loaded.result.quarantine.path}'").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == [
        ("source_bucket", "VARCHAR"),
        ("source_key", "VARCHAR"),
        ("source_etag", "VARCHAR"),
        ("line", "BIGINT"),
        ("text", "VARCHAR"),
        ("reasons", "VARCHAR[]"),
        ("dataset", "VARCHAR"),
    ]
    origin = reader.execute(
        f"SELECT source_bucket, source_key, source_etag, dataset FROM '{loaded.result.quarantine.path}'"
    )
    assert origin.fetchall() == [("raw", "sales/orders/orders.csv", "etag-1", "sales/orders")]


def test_dates_of_a_row_choose_its_folder(load: Callable[..., Any]) -> None:
    lines = [f"{n},C,p,1,1,2025-01-{1 + n * 9 % 28:02}" for n in range(500)]
    loaded = load(HEADER + "\n" + "\n".join(lines) + "\n")
    assert len(loaded.result.files) == 28
    for partition, number, *_ in loaded.rows:
        assert partition == f"order_date={datetime.date(2025, 1, 1 + number * 9 % 28)}"
    for file in loaded.result.files:
        numbers = [number for partition, number, *_ in loaded.rows if partition == file.partition]
        assert numbers == sorted(numbers)


def test_an_unpartitioned_table_is_one_file_in_the_order_of_lines(
    load: Callable[..., Any], text_contract: Contract, tmp_path: Path
) -> None:
    path = tmp_path / "many.csv"
    path.write_text("n,a,b\n" + "".join(f"{n},x{n % 7},\n" for n in range(150_000)))
    loaded = load(path, text_contract)
    assert [row[0] for row in loaded.rows] == list(range(150_000))
    (file,) = loaded.result.files
    assert (file.path.name, file.partition) == ("0.parquet", "")


def test_unique_keys_leave_the_order_of_lines(load: Callable[..., Any], make_contract: Callable[..., Contract]) -> None:
    contract = make_contract(
        {"name": "n", "logicalType": "integer", "physicalType": "bigint", "unique": True},
        {"name": "a", "logicalType": "string"},
    )
    loaded = load("n,a\n" + "".join(f"{n * 7919 % 20_011},x\n" for n in range(30_000)), contract)
    assert [row[0] for row in loaded.rows] == [n * 7919 % 20_011 for n in range(20_011)]
    assert [line for line, _, _ in loaded.quarantine] == list(range(20_013, 30_002))


def test_names_that_look_like_patterns_are_names(
    engine: Any, orders: Contract, tmp_path: Path, reader: duckdb.DuckDBPyConnection
) -> None:
    folder = tmp_path / "it's [1] *?{a,b}=x ü"
    folder.mkdir()
    (folder / "f1.csv").write_text(f"{HEADER}\n2,C,p,1,1,2025-01-01\n")
    (folder / "f[1].csv").write_text(f"{HEADER}\n1,C,p,1,1,2025-01-01\nx,C,p,1,1,2025-01-01\n3,C,p,1,1,2025-01-02\n")
    result = engine.load(folder / "f[1].csv", orders, origin=ORIGIN, staging=folder / "staging")
    assert (result.rows_committed, result.rows_quarantined) == (2, 1)
    query = "SELECT order_id FROM read_parquet(?, hive_partitioning=false)"
    assert [reader.execute(query, [str(file.path)]).fetchall() for file in result.files] == [[(1,)], [(3,)]]


def test_nothing_of_a_failed_load_keeps_the_work_folder(load: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(LakeheadError):
        load("order_id\n1\n")
    assert not list(tmp_path.rglob("work"))


@pytest.mark.shared
@pytest.mark.parametrize("engine", ["duckdb"], indirect=True)  # Spark is held against it, row by row
def test_the_whole_retail_year(
    retail_year: Path, tmp_path: Path, reader: duckdb.DuckDBPyConnection, engine: Any
) -> None:
    """UCI Online Retail, 305 files as one; the figures are known exactly. Quoted commas make it a careful reading."""
    contract = load_contract(Path(examples.__file__).parent / "retail/contracts/sales/orders.odcs.yaml")
    staged = tmp_path / "staged"
    result = engine.load(retail_year, contract, origin=ORIGIN, staging=staged)
    assert (result.rows_read, result.rows_committed, result.rows_quarantined) == (541_909, 406_829, 135_080)
    assert len(result.files) == 305
    assert result.reasons["customer_id: required"] == 135_080
    total = reader.execute(f"SELECT sum(total_amount) FROM '{staged}/data/*/*.parquet'").fetchone()
    assert total == (Decimal("8300065.814"),)


def _properties(contract: Contract) -> list[dict[str, Any]]:
    """The properties of the orders contract, to change."""
    found = []
    for column in contract.columns:
        logical = {"decimal": "number"}.get(column.type.kind, str(column.type.kind))
        item: dict[str, Any] = {"name": column.name, "logicalType": logical, "required": column.required}
        if column.type.exact:
            item["physicalType"] = column.type.sql
        if column.partitioned:
            item |= {"partitioned": True, "partitionKeyPosition": 1}
        if column.expression:
            item["transformLogic"] = column.expression
        found.append(item)
    return found
