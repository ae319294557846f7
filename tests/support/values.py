"""A contract of every type, format and expression, and texts that tell one engine's casts from another's."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable
from typing import Any


def _column(name: str, logical: str, physical: str = "", **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "logicalType": logical}
    if physical:
        found["physicalType"] = physical
    if options:
        found["logicalTypeOptions"] = options
    return found


READ: list[dict[str, Any]] = [
    _column("n", "integer", "bigint"),
    _column("s", "string"),
    _column("i2", "integer", "smallint"),
    _column("i4", "integer", "integer"),
    _column("i8", "integer", "bigint"),
    _column("d122", "number", "decimal(12,2)"),
    _column("d380", "number", "decimal(38,0)"),
    _column("d3838", "number", "decimal(38,38)"),
    _column("d187", "number", "decimal(18,7)"),
    _column("d11", "number", "decimal(1,1)"),
    _column("f", "number", "double"),
    _column("b", "boolean"),
    _column("d", "date"),
    _column("dy", "date", format="dd.MM.yyyy"),
    _column("dm", "date", format="d/M/yy"),
    _column("dmmm", "date", format="dd-MMM-yyyy"),
    _column("ts", "timestamp"),
    _column("t1", "timestamp", format="yyyy-MM-dd HH:mm:ss"),
    _column("t2", "timestamp", format="M/d/yyyy h:mm a"),
    _column("t3", "timestamp", format="yyyyMMdd'T'HHmmss.SSS"),
    _column("t4", "timestamp", format="yyyy-MM-dd HH:mm:ssXXX"),
    _column("t5", "timestamp", format="dd/MM/yyyy HH:mmx"),
    _column("p", "string", pattern=r"[a-z]+\d{2,3}|x$|(ab)*"),
    _column("ln", "string", minLength=2, maxLength=4),
    _column("dr", "number", "decimal(12,2)", minimum=-5.5, maximum=100, multipleOf=0.05),
    _column("fr", "number", "double", minimum=-1.5, exclusiveMaximum=1e10),
    _column("dd", "date", minimum="2000-01-01"),
]
COMPUTED: list[tuple[str, str, str, str]] = [
    ("x1", "number", "decimal(14,2)", "i4 * d122"),
    ("x2", "number", "decimal(38,7)", "i2 + d187 - 1.5"),
    ("x3", "number", "double", "d122 / i2"),
    ("x4", "number", "decimal(9,2)", "ROUND(d187, 2)"),
    ("x5", "string", "", "UPPER(s) || LOWER(s)"),
    ("x6", "string", "", "TRIM(s) || '|' || LTRIM(s) || '|' || RTRIM(s)"),
    ("x7", "integer", "bigint", "LENGTH(s)"),
    ("x8", "string", "", "SUBSTRING(s, 2, 3)"),
    ("x9", "integer", "bigint", "YEAR(d) * 100 + MONTH(d)"),
    ("x10", "date", "", "DATE_TRUNC('week', d)"),
    ("x11", "timestamp", "", "DATE_TRUNC('month', ts)"),
    ("x12", "number", "decimal(12,2)", "COALESCE(d122, dr, 0)"),
    ("x13", "number", "decimal(12,2)", "GREATEST(d122, dr)"),
    ("x14", "string", "", "CASE WHEN i4 > 5 THEN 'big' WHEN i4 IS NULL THEN 'none' ELSE s END"),
    ("x15", "number", "decimal(5,2)", "i4 % 7"),
    ("x16", "date", "", "CAST(ts AS DATE)"),
    ("x17", "string", "", "CAST(d122 AS VARCHAR) || CAST(b AS VARCHAR) || CAST(d AS VARCHAR)"),
    ("x18", "number", "double", "f * f"),
    ("x19", "number", "decimal(38,4)", "ABS(d122) * d122"),
    ("x20", "boolean", "", "s IN ('a', 'b') OR d BETWEEN DATE '2020-01-01' AND DATE '2025-01-01'"),
    ("x21", "string", "", "NULLIF(CAST(d187 AS VARCHAR), '0.0000000')"),
]
PROPERTIES = [*READ, *({**_column(name, kind, sql), "transformLogic": text} for name, kind, sql, text in COMPUTED)]
NAMES = [column["name"] for column in READ]

# fmt: off
NUMBERS = [
    "0", "-0", "+7", "-007", "00", "1.5", ".5", "5.", ".", "-.", "1.005", "1.500", "0.05", "0.07", "100.01", "-5.55",
    "1e3", "1E-7", "0E-10", "1e0000", "1e00001", "1e-400", "1e400", "4.9e-324", "2e-324", "1.7976931348623157e308",
    "1.7976931348623159e308", "inf", "nan", "Infinity", "1_000", "1,5", "0x1F", "1d", "1f", "1L", "\u0663", "--1",
    "32767", "32768", "-32768", "-32769", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "0" * 45 + "1", "1." + "0" * 60, "0." + "0" * 37 + "1", "9" * 38, "9" * 39, "0.0000001",
    "9999999999.99", "99999999999.9999999", "123456789012345678901234567890.5",
]
MOMENTS = [
    "2025-01-31", "2025-02-30", "2024-02-29", "2025-1-2", "2025/01/02", "0000-01-01", "0001-01-01", "9999-12-31",
    "1582-10-10", "2025-01-01 (BC)", "+2025-01-01", "02025-01-01", "today", "now", "epoch", "infinity", "-infinity",
    "2025-01-31 08:00:00", "2025-01-31T08:00:00", "2025-01-31 08:00", "2025-01-31 24:00:00", "2025-01-31 08:00:60",
    "0000-01-01 00:00:00", "0001-01-01 00:00:00", "2025-01-31T08:00:00.5", "2025-01-31T08:00:00.123456",
    "2025-01-31T08:00:00.1234567", "2025-01-31T08:00:00Z", "2025-01-31T08:00:00+01:30", "2025-01-31 08:00:00-18:00",
    "2025-01-31 08:00:00+18:01", "0001-01-01T00:00:00+18", "9999-12-31T23:59:59.999999-01", "2025-03-30T02:30:00",
    "31.01.2025", "31.02.2025", "1/2/25", "31/12/99", "31-Jan-2025", "31-jan-2025", "31-Xxx-2025", "1/2/2025 1:05 PM",
    "12/31/2025 12:00 am", "1/2/2025 13:00 PM", "20250131T080000.123", "31/01/2025 08:00+01", "31/01/2025 08:00-0530",
    "2025-01-31 08:00:00+00:00", "2025-01-31 08:00:00 UTC",
]
TEXTS = [
    "a", "b", "ab", "abab", "abab\n", "x", "x$", "q123", "ab12345", "NULL", " padded ", "\u00a0a\u3000", "\ta\x0b",
    "\u2003b\u200b", "true", "TRUE", "t", "Yes", "no", "0", "1", "on", "\u017f", "\u212a", "stra\u00dfe",
    "\u0130\u0131",
    "\u03a3\u03c3\u03c2", "\u01c5\u01c6", "\ufb01\u0149\u1fb3", "\u65e5\u672c", "\U0001f381", "\U00010428\U00010400",
    "e\u0301", "'", '"', "\\", "\\'", "%_", "a\r\nb", "\u2028\x85\x1c", "a,b;c",
]
# fmt: on


def cells(kind: str) -> list[str]:
    """Texts for a column of this logical type, fitting and not, and those of the others."""
    return {"string": TEXTS, "boolean": TEXTS}.get(kind, NUMBERS if kind in ("integer", "number") else MOMENTS)


def generated(seed: int, count: int) -> list[dict[str, str]]:
    """Rows of one to three cells, each a known text as it is, damaged, padded or grown."""
    chance = random.Random(seed)
    letters = "0123456789+-.eE:TZ/ \t\u00a0aMPxJnß日$|\"',"

    def cell(kind: str) -> str:
        text = chance.choice(cells(kind) if chance.random() < 0.9 else [*NUMBERS, *MOMENTS, *TEXTS])
        for _ in range(chance.choice((0, 0, 1, 1, 2, 5))):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(letters) + text[at + chance.randrange(2) :]
        if kind in ("integer", "number") and chance.random() < 0.3:
            text = f"{chance.choice('+- ')}{chance.randrange(10 ** chance.randrange(1, 41))}".strip()
            at = chance.randrange(len(text) + 1)
            text = text if chance.random() < 0.4 else f"{text[:at]}.{text[at:]}"
        pad = chance.choice(("", "", "", " ", "\t", "\u00a0", "\u2003", "\x0b"))
        return pad + text + pad

    return [
        {column["name"]: cell(column["logicalType"]) for column in chance.sample(READ[1:], chance.choice((1, 1, 2, 3)))}
        for _ in range(count)
    ]


def written(rows: Iterable[dict[str, str]]) -> str:
    """CSV of rows that name the few cells that they fill."""
    out = io.StringIO()
    writer = csv.DictWriter(out, NAMES, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({"n": str(number), **row} for number, row in enumerate(rows))
    return out.getvalue()
