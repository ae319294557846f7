"""A load's rows, judged, as tables of a DuckDB session: the accepted ones in parts, and those that break a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from lakehead.contract import sql

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Judged:
    """`parts` are tables whose rows that meet `condition` are accepted; one after the other they hold a file's lines.

    Within a part the accepted rows come first, by partition (nulls last) and line, where `ordered`; else the rows lie
    in the order of lines. `refused` is a query of the rows that break a rule: `_line` and `_reasons`, with `_text`
    where `texts`. `rows` counts both.
    """

    rows: int
    parts: tuple[str, ...]
    condition: str
    ordered: bool
    refused: str
    texts: bool = False

    def accepted(self, columns: str) -> str:
        """A query of columns of the accepted rows; `$part` in them stands for the number of a row's part."""
        return " UNION ALL ".join(
            f"SELECT {columns.replace('$part', str(number))} FROM {part} WHERE {self.condition}"
            for number, part in enumerate(self.parts)
        )


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of one part: `count` of its accepted ones from `first` on."""

    part: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Partition:
    """The accepted rows of one partition, in the order of lines. `values` are those of the partition columns."""

    values: tuple[str | None, ...]
    spans: tuple[Span, ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(span.count for span in self.spans)


def partitions(connection: DuckDBPyConnection, judged: Judged, keys: Sequence[str]) -> Iterator[Partition]:
    """The partitions of the accepted rows, in the order of the values, nulls last."""
    if not judged.parts:
        return
    named = [sql.name(key) for key in keys]
    columns = ", ".join(["$part AS p", "rowid AS r", *(f"{key} AS k{n}" for n, key in enumerate(named))])
    texts = "".join(f", CAST(k{n} AS VARCHAR)" for n in range(len(named)))
    order = ", ".join([*(f"k{n} NULLS LAST" for n in range(len(named))), "p"])
    found = connection.execute(
        f"SELECT p, first, n{texts} FROM (SELECT * EXCLUDE (r), MIN(r) AS first, COUNT(*) AS n "
        f"FROM ({judged.accepted(columns)}) GROUP BY ALL) ORDER BY {order}"
    )
    values: tuple[str | None, ...] | None = None
    spans: list[Span] = []
    while row := found.fetchone():
        part, first, count, *key = row
        if values is not None and tuple(key) != values:
            yield Partition(values, tuple(spans))
            spans = []
        values = tuple(key)
        spans.append(Span(part, first, count))
    if values is not None:
        yield Partition(values, tuple(spans))


class Each(Protocol):
    """A `map` whose calls run at once, each with a cursor of its own."""

    def __call__(self, work: Callable[[DuckDBPyConnection, T], R], items: Iterable[T]) -> list[R]:
        """The results, in the order of the items."""


@contextmanager
def one_thread_each(connection: DuckDBPyConnection) -> Iterator[Each]:
    """As many calls at once as the session has threads, each with one: rows keep their order, and none wait."""
    count = threads_of(connection)
    connection.execute("SET threads = 1")
    try:
        with ThreadPoolExecutor(count) as pool:

            def each(work: Callable[[DuckDBPyConnection, T], R], items: Iterable[T]) -> list[R]:
                def run(item: T) -> R:
                    with connection.cursor() as cursor:
                        return work(cursor, item)

                futures = [pool.submit(run, item) for item in items]
                try:
                    return [future.result() for future in futures]
                finally:
                    for future in futures:
                        future.cancel()

            yield each
    finally:
        connection.execute(f"SET threads = {count}")


def threads_of(connection: DuckDBPyConnection) -> int:
    """How many threads the session has."""
    (threads,) = connection.execute("SELECT current_setting('threads')").fetchone() or (1,)
    return int(threads)
