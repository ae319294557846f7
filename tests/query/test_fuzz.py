"""Whatever people write: an answer or an error that says what is wrong, never a traceback."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.room import Room

from lakehead.errors import LakeheadError, QueryError, UnsupportedSql
from lakehead.model import utc_now
from lakehead.query.parse import Show, parse
from lakehead.query.queries import Binder

SEEDS = [
    "SELECT product, sum(quantity) FROM processed_orders WHERE order_date > '2025-01-01' GROUP BY 1 ORDER BY 1",
    "WITH w AS (SELECT order_id, CAST(order_date AS date) AS day FROM processed_orders)"
    " SELECT count(*) FROM w WHERE day IS NULL",
    "SELECT a.order_id, lag(b.price, 1) OVER (PARTITION BY a.product ORDER BY b.order_id DESC) FROM processed_orders a"
    " LEFT JOIN processed_orders b ON a.order_id = b.order_id AND b.price BETWEEN 1.5 AND 1e3",
    "SELECT CASE WHEN price / 3 > 1 THEN 'a' || product ELSE NULL END, try(CAST(product AS integer))"
    " FROM processed_orders",
    "SELECT x, transform(ARRAY[1, 2], y -> y + x) FROM UNNEST(sequence(1, 3)) AS t(x)"
    " UNION ALL SELECT 1, ARRAY[NULL] LIMIT 5",
    "SELECT date_diff('day', order_date, now()), date_format(order_date, '%Y') FROM processed_orders"
    " WHERE order_id IN (SELECT max(order_id) FROM processed_orders GROUP BY product HAVING count(*) > 1)",
    "SELECT count(DISTINCT product) FILTER (WHERE quantity > 1), array_agg(price ORDER BY price) FROM processed_orders",
]
WORDS = sorted({word for seed in SEEDS for word in re.findall(r"'[^']*'|\w+|[^\w\s]", seed)})


def bound(room: Room, sql: str) -> Any:
    found = parse(sql)
    if isinstance(found, Show):
        return None
    with room.catalog.snapshot() as seen:
        return Binder(seen.table, "sales_dev", utc_now()).statement(found)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.sampled_from(SEEDS), dice=st.randoms(use_true_random=False))
def test_broken_statements(asked: Room, seed: str, dice: random.Random) -> None:
    words = re.findall(r"\s*(?:'[^']*'|\w+|[^\w\s])", seed)
    for _ in range(dice.randint(1, 3)):
        place = dice.randrange(len(words))
        words[place : place + dice.randint(0, 2)] = [" " + dice.choice(WORDS) for _ in range(dice.randint(0, 1))]
    try:
        bound(asked, "".join(words))
    except LakeheadError as error:
        assert isinstance(error, QueryError)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=st.sampled_from(SEEDS), second=st.sampled_from(SEEDS), dice=st.randoms(use_true_random=False))
def test_statements_with_foreign_parts(asked: Room, first: str, second: str, dice: random.Random) -> None:
    """A part of one statement in the place of a part of another: read well, and mostly wrong in its types."""
    from sqlglot import exp

    tree, other = parse(first), parse(second)
    assert not isinstance(tree, Show) and not isinstance(other, Show)
    parts = [node for node in other.walk() if isinstance(node, exp.Condition)]
    places = [node for node in tree.walk() if isinstance(node, exp.Condition) and node.parent is not None]
    dice.choice(places).replace(dice.choice(parts).copy())
    try:
        result = asked.engine.run(tree.sql("trino"), timeout_seconds=20)
        list(result.rows)
    except UnsupportedSql as error:
        assert "embedded engine cannot run" not in error.message, tree.sql("trino")
    except QueryError:
        pass


@pytest.mark.parametrize(
    "sql", ["SELECT CAST(1 AS decimal(0,0))", "SELECT CAST(1 AS decimal(39,0))", "SELECT CAST(1 AS decimal(2,3))"]
)
def test_types_that_there_are_not(asked: Room, sql: str) -> None:
    with pytest.raises(QueryError, match="there is no decimal"):
        bound(asked, sql)
