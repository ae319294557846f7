"""Pruning never changes an answer: hypothesis makes conditions, and files that are pruned away are read, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.room import Room, open_room, orders

from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.query import QueryEngine

DAYS = ["2024-12-31", "2025-01-01", "2025-01-02", "2025-01-31", "2025-02-01", "2026-01-01"]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, loader: DuckDBEngine) -> Iterator[Room]:
    with open_room(tmp_path_factory.mktemp("days"), loader) as room:
        room.load("a.csv", orders(*((number, day, number % 3, "1.00") for number, day in enumerate(DAYS))))
        room.load("b.csv", orders(*((10 + number, day, 1, "2.00") for number, day in enumerate(DAYS[1:4]))))
        room.crawl()
        yield room


texts = st.sampled_from([*DAYS, "2025-01", "2025-1-1", "2025", "x", "", "2025-01-15"])
dates = st.sampled_from([*DAYS, "2025-01-15"]).map(lambda day: f"DATE '{day}'")
values = st.one_of(texts.map(lambda text: f"'{text}'"), dates, st.just("NULL"))
signs = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
columns = st.sampled_from(["order_date", "CAST(order_date AS date)"])


def _atoms(draw_column: str) -> st.SearchStrategy[str]:
    typed = dates if draw_column != "order_date" else values
    compared = st.builds(lambda sign, value: f"{draw_column} {sign} {value}", signs, typed)
    between = st.builds(lambda low, high: f"{draw_column} BETWEEN {low} AND {high}", typed, typed)
    listed = (
        st.lists(texts.map(lambda text: f"'{text}'"), min_size=1, max_size=3)
        if draw_column == "order_date"
        else (st.lists(dates, min_size=1, max_size=3))
    )
    within = st.builds(lambda one: f"{draw_column} IN ({', '.join(one)})", listed)
    like = st.sampled_from(
        ["order_date LIKE '2025-01%'", "order_date IS NULL", "year(CAST(order_date AS date)) = 2025"]
    )
    return st.one_of(compared, between, within, like)


atoms = st.one_of(columns.flatmap(_atoms), st.sampled_from(["quantity = 1", "order_id > 3", "quantity < order_id"]))
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"({a} AND {b})", inner, inner),
        st.builds(lambda a, b: f"({a} OR {b})", inner, inner),
        st.builds(lambda a: f"(NOT {a})", inner),
    ),
    max_leaves=5,
)


def _answers(engine: QueryEngine, sql: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[Any]]:
    pruned = list(engine.run(sql).rows)
    with monkeypatch.context() as patch:
        patch.setattr("lakehead.query.engine.wanted_partitions", lambda *_: None)
        return pruned, list(engine.run(sql).rows)


SLOW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@SLOW
@given(condition=conditions)
def test_pruned_is_unpruned(days: Room, monkeypatch: pytest.MonkeyPatch, condition: str) -> None:
    sql = f"SELECT order_id FROM processed_orders WHERE {condition} ORDER BY 1"
    pruned, whole = _answers(days.engine, sql, monkeypatch)
    assert pruned == whole


@SLOW
@given(
    condition=conditions,
    join=st.sampled_from(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]),
    side=st.sampled_from("ab"),
)
def test_pruned_is_unpruned_in_joins(
    days: Room, monkeypatch: pytest.MonkeyPatch, condition: str, join: str, side: str
) -> None:
    condition = condition.replace("order_date", f"{side}.order_date").replace("quantity", f"{side}.quantity")
    condition = condition.replace("order_id", f"{side}.order_id")
    sql = (
        f"SELECT a.order_id, b.order_id FROM processed_orders a {join} processed_orders b"
        f" ON a.order_id = b.order_id + 9 AND a.quantity = b.quantity WHERE {condition} ORDER BY 1, 2"
    )
    pruned, whole = _answers(days.engine, sql, monkeypatch)
    assert pruned == whole


def test_a_wrong_pruning_would_be_noticed(days: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: where pruning takes too much away, the comparison above tells."""
    monkeypatch.setattr("lakehead.query.engine.wanted_partitions", lambda *_: ["order_date=2025-01-01"])
    assert days.rows("SELECT count(*) FROM processed_orders WHERE order_date < '2026-01-01'") == [(2,)]
