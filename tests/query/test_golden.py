"""What Athena (engine version 3, which is Trino) answers, probe by probe.

Expected values are those of Trino's documentation and language reference: "Mathematical functions and operators",
"Decimal functions and operators", "Conversion functions", "Date and time functions", "String functions", "Array
functions", "Aggregate functions", "SELECT". Types are Trino's, as `typeof` and Athena's result metadata show them.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from lakehead.errors import QueryError, UnsupportedSql
from lakehead.query import QueryEngine

D = Decimal

PROBES: list[tuple[str, Any, str]] = [
    # Integers: division truncates towards zero, the result keeps the type
    ("5 / 2", 2, "integer"),
    ("-5 / 2", -2, "integer"),
    ("-5 % 2", -1, "integer"),
    ("BIGINT '5' / 2", 2, "bigint"),
    ("7 * 3", 21, "integer"),
    ("2147483648", 2147483648, "bigint"),
    ("abs(-3)", 3, "integer"),
    ("mod(7, 3)", 1, "integer"),
    # Decimals: precision and scale of results, halves away from zero
    ("1.10", D("1.10"), "decimal(3,2)"),
    ("0.5", D("0.5"), "decimal(1,1)"),
    ("1.0 / 3", D("0.3"), "decimal(2,1)"),
    ("CAST(1 AS decimal(10,4)) / 3", D("0.3333"), "decimal(10,4)"),
    ("CAST(2 AS decimal(10,4)) / 3", D("0.6667"), "decimal(10,4)"),
    ("CAST(-2 AS decimal(10,4)) / 3", D("-0.6667"), "decimal(10,4)"),
    ("0.5 / 10.0", D("0.1"), "decimal(2,1)"),
    ("1.25 + 1.5", D("2.75"), "decimal(4,2)"),
    ("1.25 * 1.5", D("1.875"), "decimal(5,3)"),
    ("10.5 % 3", D("1.5"), "decimal(3,1)"),
    ("1 + 0.5", D("1.5"), "decimal(12,1)"),
    ("CAST(12.345 AS decimal(10,2))", D("12.35"), "decimal(10,2)"),
    ("CAST(-12.345 AS decimal(10,2))", D("-12.35"), "decimal(10,2)"),
    ("CAST(2.5 AS integer)", 3, "integer"),
    ("CAST(-2.5 AS integer)", -3, "integer"),
    ("round(2.5)", D("3"), "decimal(2,0)"),
    ("round(1.005, 2)", D("1.010"), "decimal(5,3)"),
    ("floor(-1.5)", D("-2"), "decimal(2,0)"),
    ("ceil(1.2)", D("2"), "decimal(2,0)"),
    ("truncate(1.9)", D("1"), "decimal(1,0)"),
    ("sign(-2.5)", D("-1"), "decimal(1,0)"),
    # Doubles
    ("1e0 / 3", 1 / 3, "double"),
    ("1e0 / 0", math.inf, "double"),
    ("CAST(2.5e0 AS bigint)", 3, "bigint"),
    ("CAST(-2.5e0 AS bigint)", -3, "bigint"),
    ("round(2.5e0)", 3.0, "double"),
    ("power(2, 10)", 1024.0, "double"),
    ("sqrt(2)", math.sqrt(2), "double"),
    ("ln(0)", -math.inf, "double"),
    ("log(2, 8)", 3.0, "double"),
    ("1.5 + 1e0", 2.5, "double"),
    ("greatest(1, 2.5)", D("2.5"), "decimal(11,1)"),
    ("greatest(1, null)", None, "integer"),
    ("least('b', 'a')", "a", "varchar"),
    # CAST to varchar
    ("CAST(1.50 AS varchar)", "1.50", "varchar"),
    ("CAST(1.5e0 AS varchar)", "1.5E0", "varchar"),
    ("CAST(100e0 AS varchar)", "1.0E2", "varchar"),
    ("CAST(0e0 AS varchar)", "0E0", "varchar"),
    ("CAST(-0.00012e0 AS varchar)", "-1.2E-4", "varchar"),
    ("CAST(123456789.125e0 AS varchar)", "1.23456789125E8", "varchar"),
    ("CAST(nan() AS varchar)", "NaN", "varchar"),
    ("CAST(1e23 AS varchar)", "1.0E23", "varchar"),
    ("CAST(REAL '1.1' AS varchar)", "1.1E0", "varchar"),
    ("CAST(true AS varchar)", "true", "varchar"),
    ("CAST(DATE '2025-01-01' AS varchar)", "2025-01-01", "varchar"),
    ("CAST(TIMESTAMP '2025-01-01 10:00:00' AS varchar)", "2025-01-01 10:00:00", "varchar"),
    ("CAST(TIMESTAMP '2025-01-01 10:00:00.120' AS varchar)", "2025-01-01 10:00:00.120", "varchar"),
    ("CAST('hello' AS varchar(3))", "hel", "varchar"),
    # CAST from varchar
    ("CAST('12' AS integer)", 12, "integer"),
    ("try_cast('x' AS integer)", None, "integer"),
    ("try_cast('1.5' AS integer)", None, "integer"),
    ("try_cast('1e3' AS bigint)", None, "bigint"),
    ("try_cast('99999999999' AS integer)", None, "integer"),
    ("CAST('1.005' AS decimal(12,2))", D("1.01"), "decimal(12,2)"),
    ("CAST('1e3' AS double)", 1000.0, "double"),
    ("CAST('t' AS boolean)", True, "boolean"),
    ("try_cast('yes' AS boolean)", None, "boolean"),
    ("CAST('2025-01-31' AS date)", date(2025, 1, 31), "date"),
    ("try_cast('2025-02-30' AS date)", None, "date"),
    ("try_cast('2025/01/01' AS date)", None, "date"),
    ("try(5 / 0)", None, "integer"),
    ("try(CAST('x' AS integer))", None, "integer"),
    ("typeof(1.10)", "decimal(3,2)", "varchar"),
    ("typeof(1 / 2)", "integer", "varchar"),
    # Text
    ("'a' || 'b'", "ab", "varchar"),
    ("'a' || null", None, "varchar"),
    ("concat('a', 'b', 'c')", "abc", "varchar"),
    ("concat('a', null)", None, "varchar"),
    ("concat_ws(',', 'a', null, 'b')", "a,b", "varchar"),
    ("length('h\u00e9llo')", 5, "bigint"),
    ("substr('hello', 2)", "ello", "varchar"),
    ("substr('hello', 2, 3)", "ell", "varchar"),
    ("substr('hello', -2)", "lo", "varchar"),
    ("substr('hello', 0)", "", "varchar"),
    ("substr('hello', -9)", "", "varchar"),
    ("substring('hello' FROM 2 FOR 3)", "ell", "varchar"),
    ("strpos('hello', 'l')", 3, "bigint"),
    ("position('z' IN 'hello')", 0, "bigint"),
    ("replace('aab', 'a')", "b", "varchar"),
    ("lpad('7', 3, '0')", "007", "varchar"),
    ("lpad('abcd', 2, '0')", "ab", "varchar"),
    ("split_part('a-b-c', '-', 2)", "b", "varchar"),
    ("split_part('a-b-c', '-', 9)", None, "varchar"),
    ("split('a,b', ',')", ["a", "b"], "array"),
    ("trim('  x  ')", "x", "varchar"),
    ("trim(BOTH 'x' FROM 'xax')", "a", "varchar"),
    ("upper('stra\u00dfe') = 'STRASSE'", False, "boolean"),
    ("'a' < 'B'", False, "boolean"),
    ("'abc' LIKE 'a%'", True, "boolean"),
    ("'abc' LIKE 'A%'", False, "boolean"),
    ("'a_c' LIKE 'a!_c' ESCAPE '!'", True, "boolean"),
    ("'abc' LIKE 'a!_c' ESCAPE '!'", False, "boolean"),
    ("regexp_like('1a 2b 14m', '\\d+b')", True, "boolean"),
    ("regexp_extract('1a 2b 14m', '\\d+')", "1", "varchar"),
    ("regexp_extract('1a 2b 14m', '(\\d+)([a-z]+)', 2)", "a", "varchar"),
    ("regexp_extract('abc', '\\d+')", None, "varchar"),
    ("regexp_replace('1a 2b 14m', '\\d+[ab] ')", "14m", "varchar"),
    ("regexp_replace('1a 2b', '(\\d+)([ab])', '3c$2')", "3ca 3cb", "varchar"),
    ('json_extract_scalar(\'{"a": {"b": [1, "x"]}}\', \'$.a.b[1]\')', "x", "varchar"),
    ("json_extract_scalar('{\"a\": {\"b\": 1}}', '$.a')", None, "varchar"),
    # Dates and times
    ("date_trunc('month', DATE '2025-03-17')", date(2025, 3, 1), "date"),
    ("date_trunc('week', DATE '2025-03-16')", date(2025, 3, 10), "date"),
    ("date_trunc('hour', TIMESTAMP '2025-03-17 10:59:59')", datetime(2025, 3, 17, 10, tzinfo=UTC), "timestamp"),
    ("date_format(TIMESTAMP '2025-01-05 09:07:03', '%Y/%m/%d %H:%i:%s')", "2025/01/05 09:07:03", "varchar"),
    ("date_format(DATE '2025-01-05', '%W %M %e, %y %j')", "Sunday January 5, 25 005", "varchar"),
    ("date_format(TIMESTAMP '2025-01-05 15:07:03', '%c %k %l %h %p')", "1 15 3 03 PM", "varchar"),
    ("date_parse('2025/05/20/09', '%Y/%m/%d/%H')", datetime(2025, 5, 20, 9, tzinfo=UTC), "timestamp"),
    ("format_datetime(TIMESTAMP '2025-01-05 09:07:03', 'yyyy-MM-dd''T''HH')", "2025-01-05T09", "varchar"),
    ("date_add('month', 1, DATE '2025-01-31')", date(2025, 2, 28), "date"),
    ("date_add('hour', -1, TIMESTAMP '2025-01-01 00:30:00')", datetime(2024, 12, 31, 23, 30, tzinfo=UTC), "timestamp"),
    ("date_diff('day', DATE '2025-01-01', DATE '2025-03-01')", 59, "bigint"),
    ("date_diff('day', TIMESTAMP '2025-01-01 12:00:00', TIMESTAMP '2025-01-02 11:00:00')", 0, "bigint"),
    ("date_diff('month', DATE '2025-03-01', DATE '2025-01-15')", -1, "bigint"),
    ("DATE '2025-01-01' + INTERVAL '1' MONTH", date(2025, 2, 1), "date"),
    ("DATE '2025-01-01' - INTERVAL '2' DAY", date(2024, 12, 30), "date"),
    ("day_of_week(DATE '2025-01-05')", 7, "bigint"),
    ("EXTRACT(DOW FROM DATE '2025-01-06')", 1, "bigint"),
    ("week(DATE '2024-12-30')", 1, "bigint"),
    ("year_of_week(DATE '2024-12-30')", 2025, "bigint"),
    ("quarter(DATE '2025-08-01')", 3, "bigint"),
    ("last_day_of_month(DATE '2024-02-10')", date(2024, 2, 29), "date"),
    ("from_unixtime(0)", datetime(1970, 1, 1, tzinfo=UTC), "timestamp with time zone"),
    ("to_unixtime(TIMESTAMP '1970-01-01 00:00:01.500')", 1.5, "double"),
    ("from_iso8601_date('2025-02-03')", date(2025, 2, 3), "date"),
    (
        "from_iso8601_timestamp('2025-01-01T10:00:00+05:30')",
        datetime(2025, 1, 1, 4, 30, tzinfo=UTC),
        "timestamp with time zone",
    ),
    ("hour(from_unixtime(0) AT TIME ZONE 'Asia/Kolkata')", 5, "bigint"),
    (
        "CAST(from_unixtime(0) AT TIME ZONE 'Asia/Kolkata' AS varchar)",
        "1970-01-01 05:30:00.000 Asia/Kolkata",
        "varchar",
    ),
    (
        "CAST(with_timezone(TIMESTAMP '2025-01-01 12:00:00', 'America/New_York') AT TIME ZONE 'UTC' AS varchar)",
        "2025-01-01 17:00:00.000 UTC",
        "varchar",
    ),
    ("to_iso8601(DATE '2025-01-01')", "2025-01-01", "varchar"),
    ("TIMESTAMP '2025-01-01 00:00:00' = DATE '2025-01-01'", True, "boolean"),
    ("current_date = CAST(now() AS date)", True, "boolean"),
    # Conditions
    ("NULL = NULL", None, "boolean"),
    ("1 IS DISTINCT FROM NULL", True, "boolean"),
    ("1 IN (2, NULL)", None, "boolean"),
    ("3 BETWEEN 1 AND 3", True, "boolean"),
    ("coalesce(NULL, 1, 2.5)", D("1.0"), "decimal(11,1)"),
    ("nullif(1, 1)", None, "integer"),
    ("if(1 > 2, 'a')", None, "varchar"),
    ("CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END", "two", "varchar"),
    # Arrays and maps: from 1; element_at is forgiving, the subscript is not
    ("ARRAY[1, 2, 3][1]", 1, "integer"),
    ("element_at(ARRAY[1, 2, 3], -1)", 3, "integer"),
    ("element_at(ARRAY[1, 2, 3], 9)", None, "integer"),
    ("cardinality(ARRAY[1, 2, 3])", 3, "bigint"),
    ("contains(ARRAY[1, NULL], 2)", None, "boolean"),
    ("contains(ARRAY[1, 2], 2)", True, "boolean"),
    ("array_join(ARRAY['a', NULL, 'b'], '-')", "a-b", "varchar"),
    ("array_join(ARRAY['a', NULL, 'b'], '-', '?')", "a-?-b", "varchar"),
    ("array_sort(ARRAY[3, NULL, 1])", [1, 3, None], "array"),
    ("array_distinct(ARRAY[1, 2, 1, NULL, NULL])", [1, 2, None], "array"),
    ("array_max(ARRAY[1, NULL])", None, "integer"),
    ("array_position(ARRAY[5, 6], 6)", 2, "bigint"),
    ("slice(ARRAY[1, 2, 3, 4], 2, 2)", [2, 3], "array"),
    ("slice(ARRAY[1, 2, 3, 4], -2, 2)", [3, 4], "array"),
    ("sequence(3, 1)", [3, 2, 1], "array"),
    ("ARRAY[1] || ARRAY[2]", [1, 2], "array"),
    ("transform(ARRAY[5, 6], x -> x + 1)", [6, 7], "array"),
    ("filter(ARRAY[5, -6, NULL], x -> x > 0)", [5], "array"),
    ("any_match(ARRAY[1, NULL], x -> x > 1)", None, "boolean"),
    ("all_match(ARRAY[1, 2], x -> x > 0)", True, "boolean"),
    ("none_match(ARRAY[1, 2], x -> x > 2)", True, "boolean"),
    ("element_at(map(ARRAY['a', 'b'], ARRAY[1, 2]), 'b')", 2, "integer"),
    ("element_at(map(ARRAY['a'], ARRAY[1]), 'z')", None, "integer"),
    ("map(ARRAY['a'], ARRAY[1])['a']", 1, "integer"),
    ("map_keys(map(ARRAY['a', 'b'], ARRAY[1, 2]))", ["a", "b"], "array"),
]

AGGREGATES: list[tuple[str, Any, str]] = [
    ("count(*)", 4, "bigint"),
    ("count(i)", 3, "bigint"),
    ("sum(i)", 6, "bigint"),
    ("avg(i)", 2.0, "double"),
    ("sum(d)", D("3.35"), "decimal(38,2)"),
    ("avg(d)", D("1.12"), "decimal(5,2)"),
    ("min(s)", "a", "varchar"),
    ("count_if(i > 1)", 2, "bigint"),
    ("count(DISTINCT s)", 3, "bigint"),
    ("approx_distinct(s)", 3, "bigint"),
    ("approx_percentile(i, 0.5)", 2, "integer"),
    ("max_by(s, i)", "c", "varchar"),
    ("min_by(s, i)", "a", "varchar"),
    ("bool_and(i > 0)", True, "boolean"),
    ("bool_or(i > 2)", True, "boolean"),
    ("sum(i) FILTER (WHERE i > 1)", 5, "bigint"),
    ("array_agg(i ORDER BY i DESC)", [3, 2, 1, None], "array"),
    ("array_agg(i ORDER BY i DESC NULLS FIRST)", [None, 3, 2, 1], "array"),
    ("listagg(s, ',') WITHIN GROUP (ORDER BY s)", "a,b,c,c", "varchar"),
    ("map_agg(s, i)['a']", 1, "integer"),
    ("stddev_pop(CAST(i AS double))", math.sqrt(2 / 3), "double"),
    ("sum(i) / count(i)", 2, "bigint"),
    ("sum(d) / count(*)", D("0.84"), "decimal(38,2)"),
    ("CAST(sum(d) AS double) / sum(i)", 3.35 / 6, "double"),
    ("sum(i) FILTER (WHERE false)", None, "bigint"),
]
ROWS = "(VALUES (1, 1.10, 'a'), (2, 1.20, 'b'), (3, 1.05, 'c'), (NULL, NULL, 'c')) AS t(i, d, s)"
# d has one type for the column: a decimal of three digits is widened, so its type is stated.
TYPED = f"(SELECT i, CAST(d AS decimal(5,2)) AS d, s FROM {ROWS}) AS t"

QUERIES: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("SELECT x FROM (VALUES 2, NULL, 1) AS t(x) ORDER BY x", [(1,), (2,), (None,)]),
    ("SELECT x FROM (VALUES 2, NULL, 1) AS t(x) ORDER BY x DESC", [(2,), (1,), (None,)]),
    ("SELECT x FROM (VALUES 2, NULL, 1) AS t(x) ORDER BY x DESC NULLS FIRST", [(None,), (2,), (1,)]),
    ("SELECT row_number() OVER (ORDER BY x DESC), x FROM (VALUES 1, NULL) AS t(x) ORDER BY 1", [(1, 1), (2, None)]),
    ("SELECT a FROM (VALUES 3, 1, 2) AS t(a) ORDER BY 1 OFFSET 1 LIMIT 1", [(2,)]),
    ("SELECT a FROM (VALUES 3, 1, 2) AS t(a) ORDER BY a FETCH FIRST 2 ROWS ONLY", [(1,), (2,)]),
    ("SELECT 1 UNION SELECT 1 UNION ALL SELECT 2", [(1,), (2,)]),
    ("SELECT 1 UNION ALL SELECT 2.5 ORDER BY 1", [(D("1.0"),), (D("2.5"),)]),
    ("(SELECT 1 UNION ALL SELECT 1) EXCEPT SELECT 2", [(1,)]),
    ("SELECT 2 UNION SELECT 1 INTERSECT SELECT 3", [(2,)]),
    ("VALUES (1, 'a'), (2, 'b')", [(1, "a"), (2, "b")]),
    ("SELECT n, o FROM UNNEST(ARRAY['x', 'y']) WITH ORDINALITY AS t(n, o)", [("x", 1), ("y", 2)]),
    ("SELECT a, b FROM UNNEST(ARRAY[1, 2], ARRAY['z']) AS t(a, b)", [(1, "z"), (2, None)]),
    ("SELECT k, v FROM UNNEST(map(ARRAY['p'], ARRAY[9])) AS t(k, v)", [("p", 9)]),
    (
        "SELECT id, e FROM (VALUES (1, ARRAY[7, 8]), (2, ARRAY[9])) t(id, l) CROSS JOIN UNNEST(l) u(e) ORDER BY 2",
        [(1, 7), (1, 8), (2, 9)],
    ),
    (
        "SELECT id, e FROM (VALUES (1, ARRAY[7]), (2, NULL)) t(id, l) LEFT JOIN UNNEST(l) u(e) ON true ORDER BY 1",
        [(1, 7), (2, None)],
    ),
    ("SELECT sum(sum(x)) OVER () FROM (VALUES 1, 2) AS t(x)", [(3,)]),
    ("SELECT lag(x) OVER (ORDER BY x), x FROM (VALUES 1, 2) AS t(x) ORDER BY 2", [(None, 1), (1, 2)]),
    ("SELECT last_value(x) OVER w FROM (VALUES 1, 2) AS t(x) WINDOW w AS (ORDER BY x)", [(1,), (2,)]),
    (
        "SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES 1, 2, 3) t(x)",
        [(1,), (3,), (5,)],
    ),
    (
        "SELECT g, count(*) FROM (VALUES 'a', 'b', 'a') AS t(g) GROUP BY ROLLUP (g) ORDER BY 2, 1",
        [("b", 1), ("a", 2), (None, 3)],
    ),
    ("SELECT k, a, b FROM (VALUES (1, 'l')) t(k, a) JOIN (VALUES (1, 'r')) u(k, b) USING (k)", [(1, "l", "r")]),
    ("SELECT k FROM (VALUES 1) t(k) FULL JOIN (VALUES 2) u(k) USING (k) ORDER BY k", [(1,), (2,)]),
    ("SELECT * FROM (VALUES 1) t(a) LEFT JOIN (VALUES 2) u(b) ON a = b", [(1, None)]),
    ("WITH w AS (SELECT 1 AS a), v(b) AS (SELECT a + 1 FROM w) SELECT b FROM v", [(2,)]),
    ("SELECT a FROM (VALUES 1, 2) t(a) WHERE EXISTS (SELECT 1 FROM (VALUES 2) u(b) WHERE b = a)", [(2,)]),
    ("SELECT a FROM (VALUES 1, 2) t(a) WHERE a IN (SELECT b FROM (VALUES 2, 3) u(b))", [(2,)]),
    ("SELECT a, (SELECT max(b) FROM (VALUES 1, 5) u(b) WHERE b <= a) FROM (VALUES 2) t(a)", [(2, 1)]),
    ("SELECT a + 1 AS a FROM (VALUES 1, 2) t(a) ORDER BY a DESC", [(3,), (2,)]),
    ("SELECT x + 1, count(*) FROM (VALUES 1, 1) t(x) GROUP BY x + 1 HAVING count(*) > 1", [(2, 2)]),
    ("SELECT DISTINCT x FROM (VALUES 2, 1, 2) t(x) ORDER BY x", [(1,), (2,)]),
]

ERRORS: list[tuple[str, str]] = [
    ("SELECT 2147483647 + 1", "Overflow"),
    ("SELECT 2147483647 * 2", "Overflow"),
    ("SELECT 9223372036854775807 + 1", "Overflow"),
    ("SELECT sum(x) FROM (VALUES 9223372036854775807, 1) t(x)", "out of range"),
    ("SELECT 5 / 0", "Division by zero"),
    ("SELECT 5.0 / 0", "Division by zero"),
    ("SELECT 5 % 0", "Division by zero"),
    ("SELECT CAST('x' AS integer)", "Cannot cast 'x' to integer"),
    ("SELECT CAST(' 12' AS integer)", "Cannot cast ' 12' to integer"),
    ("SELECT CAST(300 AS tinyint)", "out of range"),
    ("SELECT CAST(123.4 AS decimal(2,1))", "123.4"),
    ("SELECT ARRAY[1][2]", "subscript"),
    ("SELECT ARRAY[1][0]", "subscript must be greater than zero"),
    ("SELECT map(ARRAY['a'], ARRAY[1])['b']", "Key not present"),
    ("SELECT split_part('a', '-', 0)", "greater than zero"),
    ("SELECT 1 = '1'", "cannot mix integer and varchar"),
    ("SELECT 'a' + 1", "cannot be calculated"),
    ("SELECT length(1)", "wants a varchar"),
    ("SELECT DATE '2025-01-01' = '2025-01-01'", "cannot mix date and varchar"),
    ("SELECT coalesce(1, 'a')", "cannot mix"),
    ("SELECT a FROM (VALUES (1, 2)) t(a, b) GROUP BY b", "GROUP BY"),
    ("SELECT count(*) FROM (VALUES 1) t(a) WHERE count(*) > 1", "WHERE"),
    ("SELECT (SELECT x FROM (VALUES 1, 2) t(x))", "More than one row"),
    ("SELECT a AS b FROM (VALUES 1) t(a) WHERE b = 1", 'no column is named "b"'),
    ("SELECT a FROM (VALUES 1) t(a), (VALUES 2) u(a)", "ambiguous"),
    ("SELECT 1 UNION SELECT 1, 2", "columns"),
    ("SELECT 1 LIMIT 'x'", "whole number"),
    ("SELECT sum(count(*)) FROM (VALUES 1) t(a)", "inside another"),
    ("SELECT 1 FROM (VALUES 1) t(a) WHERE rank() OVER (ORDER BY a) = 1", "only in SELECT"),
    ("SELECT sum(rank() OVER (ORDER BY a)) OVER () FROM (VALUES 1) t(a)", "not inside another"),
    ("SELECT row_number() FROM (VALUES 1) t(a)", "OVER"),
    ("SELECT date_trunc('hour', DATE '2025-01-01')", "unit"),
    ("SELECT hour(DATE '2025-01-01')", "wants a timestamp"),
    ("SELECT date_format(DATE '2025-01-01', '%U')", "%U"),
    ("SELECT 1 FROM (VALUES 1) t(a) ORDER BY 2", "there is no column 2"),
]

UNSUPPORTED: list[tuple[str, str]] = [
    ("SELECT soundex('x')", "soundex"),
    ("SELECT reduce(ARRAY[1], 0, (s, x) -> s + x, s -> s)", "reduce"),
    ("SELECT row(1, 2)", "row"),
    ("SELECT DATE '2025-01-02' - DATE '2025-01-01'", "subtracting dates"),
    ("SELECT regexp_like('a', '(?=a)')", "regular expression"),
    ("SELECT * FROM (VALUES 1) t(a) TABLESAMPLE BERNOULLI (10)", "SAMPLE"),
    ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t", "RECURSIVE"),
    ("SELECT 1 = ANY (SELECT 1)", "ANY"),
    ("SELECT TIME '10:00:00'", "time"),
    ("SELECT CAST('x' AS char(3))", "CHAR"),
    ("SELECT a FROM (VALUES 1) t(a) NATURAL JOIN (VALUES 1) u(a)", "NATURAL"),
    ("SELECT DISTINCT ON (a) a FROM (VALUES 1) t(a)", "DISTINCT ON"),
    ("SELECT CAST('1.50' AS decimal)", "decimal"),
]


@pytest.mark.parametrize(("expression", "expected", "kind"), PROBES, ids=[probe[0] for probe in PROBES])
def test_expression(bare_engine: QueryEngine, expression: str, expected: Any, kind: str) -> None:
    _check(bare_engine, f"SELECT {expression}", expected, kind)


@pytest.mark.parametrize(("expression", "expected", "kind"), AGGREGATES, ids=[probe[0] for probe in AGGREGATES])
def test_aggregate(bare_engine: QueryEngine, expression: str, expected: Any, kind: str) -> None:
    _check(bare_engine, f"SELECT {expression} FROM {TYPED}", expected, kind)


def _check(engine: QueryEngine, sql: str, expected: Any, kind: str) -> None:
    result = engine.run(sql)
    ((value,),) = result.rows
    if isinstance(expected, float) and math.isfinite(expected):
        assert value == pytest.approx(expected, rel=1e-15)
    else:
        assert value == expected
    assert type(value) is type(expected)
    if isinstance(expected, Decimal):
        assert value.as_tuple().exponent == expected.as_tuple().exponent, "the scale"
    assert result.columns[0][1] == kind


@pytest.mark.parametrize(("sql", "expected"), QUERIES, ids=[query[0] for query in QUERIES])
def test_query(bare_engine: QueryEngine, sql: str, expected: list[tuple[Any, ...]]) -> None:
    found = list(bare_engine.run(sql).rows)
    assert (found if "ORDER BY" in sql else sorted(found, key=repr)) == expected


@pytest.mark.parametrize(("sql", "message"), ERRORS, ids=[error[0] for error in ERRORS])
def test_what_athena_refuses_is_refused(bare_engine: QueryEngine, sql: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        bare_engine.run(sql)
    assert not isinstance(caught.value, UnsupportedSql)
    assert message.lower() in str(caught.value).lower()


@pytest.mark.parametrize(("sql", "construct"), UNSUPPORTED, ids=[one[0] for one in UNSUPPORTED])
def test_what_cannot_be_answered_is_named(bare_engine: QueryEngine, sql: str, construct: str) -> None:
    with pytest.raises(UnsupportedSql) as caught:
        bare_engine.run(sql)
    assert construct.lower() in str(caught.value).lower()
