"""Expressions that both the grammar and the functions make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehead.query.bound import Bound
from lakehead.query.casts import alike

if TYPE_CHECKING:
    from sqlglot import exp


def choose(conditions: list[Bound], results: list[Bound], node: exp.Expr) -> Bound:
    """CASE: the last result is that of ELSE."""
    results, kind = alike(results, node, "CASE")
    whens = " ".join(f"WHEN {c.sql} THEN {r.sql}" for c, r in zip(conditions, results[:-1], strict=True))
    constant = all(one.constant for one in (*conditions, *results))
    return Bound(f"CASE {whens} ELSE {results[-1].sql} END", kind, constant=constant)
