"""Naming a column to Spark, whatever letters its name has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column


def column(name: str) -> Column:
    """The column of exactly this name; Spark would take its dots for structure."""
    from pyspark.sql import functions as f

    return f.col(f"`{name.replace('`', '``')}`")
