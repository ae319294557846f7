"""What every function of Athena SQL means in DuckDB's. What is not in these tables is refused by name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from lakehead.query.bound import unsupported
from lakehead.query.functions import aggregates, window
from lakehead.query.functions.aggregates import Aggregation
from lakehead.query.functions.calls import Call, Function
from lakehead.query.functions.collections import COLLECTIONS
from lakehead.query.functions.numbers import NUMBERS
from lakehead.query.functions.text import TEXT
from lakehead.query.functions.times import TIMES

if TYPE_CHECKING:
    from sqlglot import exp

SCALARS: dict[str, Function] = {**TEXT, **NUMBERS, **TIMES, **COLLECTIONS}


def scalar(name: str, node: exp.Expr | None = None) -> Function:
    """A scalar function. Raises UnsupportedSql with the nearest name."""
    if name not in SCALARS:
        assert node is not None
        near = difflib.get_close_matches(name, [*SCALARS, *aggregates.AGGREGATES], n=1, cutoff=0.7)
        raise unsupported(f"the function {name}", node, f'Did you mean "{near[0]}"?' if near else "")
    return SCALARS[name]


__all__ = ["SCALARS", "Aggregation", "Call", "aggregates", "scalar", "window"]
