"""What a contract is once it has been read: plain data, no YAML and no SQL in sight."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal, TypeAlias

OnRewrite: TypeAlias = Literal["replace", "reject", "append"]
OnDuplicateContent: TypeAlias = Literal["load", "skip", "refuse"]


class Kind(StrEnum):
    """The families of types, each with a grammar of its own."""

    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"


INTEGER_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
"""The most digits that each integer type can hold."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type. `sql` is its name in DuckDB, Spark and Athena alike: `bigint`, `decimal(12,2)`, `varchar`.

    `precision` counts digits (integers and decimals), `scale` those behind the point. `length` is the most
    characters a string may have (None: any number).
    """

    kind: Kind
    sql: str
    precision: int = 0
    scale: int = 0
    length: int | None = None

    @classmethod
    def integer(cls, sql: str) -> ColumnType:
        """`smallint`, `integer` or `bigint`."""
        return cls(Kind.INTEGER, sql, precision=INTEGER_DIGITS[sql])

    @classmethod
    def decimal(cls, precision: int, scale: int) -> ColumnType:
        """`decimal(precision,scale)`."""
        return cls(Kind.DECIMAL, f"decimal({precision},{scale})", precision=precision, scale=scale)

    @classmethod
    def of(cls, kind: Kind, *, length: int | None = None) -> ColumnType:
        """A type that its kind says all about (a string also has a length)."""
        return cls(kind, "varchar" if kind is Kind.STRING else kind.value, length=length)

    @property
    def exact(self) -> bool:
        """Whether this is a number without rounding error."""
        return self.kind in (Kind.INTEGER, Kind.DECIMAL)


@dataclass(frozen=True, slots=True)
class Bound:
    """A value is `operator` the limit: `>=`, `>`, `<=`, `<`. The limit is a number, or an ISO date or timestamp."""

    operator: str
    limit: Decimal | str


@dataclass(frozen=True, slots=True)
class MultipleOf:
    """A number is a multiple of `step`."""

    step: Decimal


@dataclass(frozen=True, slots=True)
class Length:
    """A text has at least `least` and at most `most` characters (None: any number)."""

    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text matches as a whole. `regex` means the same in RE2 and in Java; `shown` is what the contract says."""

    regex: str
    shown: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value is one of these. Numbers are compared as numbers, dates as ISO texts, strings as they are."""

    values: tuple[Decimal | str | bool, ...]


@dataclass(frozen=True, slots=True)
class NotMissing:
    """A value is none of the texts that stand for a missing value; nor null where `null` is set."""

    texts: tuple[str, ...]
    null: bool


WHITESPACE = " \t\n\v\f\r\u00a0"
"""What is trimmed from both ends of every value: the ASCII blanks, and the no-break space that spreadsheets write."""

Rule: TypeAlias = Bound | MultipleOf | Length | Pattern | OneOf | NotMissing
"""A condition that a row's value must meet. Null meets all but NotMissing."""


@dataclass(frozen=True, slots=True)
class Column:
    """One property of the contract.

    `source` is the name of the CSV column that feeds it, or None where `expression` (SQL over other columns, of which
    `inputs` names all) computes it. `format` is a date or timestamp format in JDK DateTimeFormatter letters, `""` for
    ISO 8601. `zone` tells whether a timestamp's text ends with an offset (None: it may).
    """

    name: str
    type: ColumnType
    required: bool = False
    partitioned: bool = False
    source: str | None = None
    expression: str | None = None
    inputs: tuple[str, ...] = ()
    format: str = ""
    zone: bool | None = None
    rules: tuple[Rule, ...] = ()
    description: str = ""

    @property
    def never_null(self) -> bool:
        """Whether a row with a null here is quarantined."""
        return self.required or any(isinstance(rule, NotMissing) and rule.null for rule in self.rules)


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column that the CSV header names. Without a required one the file cannot be loaded."""

    name: str
    required: bool


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the CSV files are written. `encoding` is one of `utf-8`, `utf-16`, `latin-1`, `cp1252`.

    With UTF-8 a byte order mark is allowed; UTF-16 needs one. Without a `header` the columns come in the contract's
    order. `null_texts` are the texts, after trimming, that mean null (as the empty text always does). With
    `stray_quotes` a quote within a field that does not begin with one is text.
    """

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    header: bool = True
    null_texts: tuple[str, ...] = ()
    stray_quotes: bool = False


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a metric's value is held against, under the standard's name of the comparison, `mustBeLessThan`."""

    operator: str
    limits: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """A metric over the accepted rows of one file, and what it must be.

    `metric` is `nullValues`, `missingValues`, `invalidValues`, `duplicateValues`, `rowCount` or `sql`. `columns` are
    those it looks at (none for rowCount). A check whose `severity` is not `error` only warns.
    """

    name: str
    metric: str
    columns: tuple[str, ...]
    threshold: Threshold
    percent: bool = False
    severity: str = "error"
    rules: tuple[Rule, ...] = ()
    query: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """What a dataset is: its columns and rules, how its files are written, and what happens when one comes again.

    `columns` are in document order. `unique_keys` are groups of columns whose values, taken together, may occur once
    in a file. `max_quarantined_share` is between 0 and 1: a file fails when a greater share of its rows is
    quarantined, or all of them. `sha256` is that of the document's bytes.
    """

    dataset: str
    name: str
    version: str
    id: str
    sha256: str
    columns: tuple[Column, ...]
    dialect: Dialect = Dialect()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    quality: tuple[QualityCheck, ...] = ()
    partitions: tuple[str, ...] = ()
    on_rewrite: OnRewrite = "replace"
    on_duplicate_content: OnDuplicateContent = "load"
    max_quarantined_share: float = 1.0
    raw_table_prefix: str = "raw_"
    processed_table_prefix: str = "processed_"
    quarantine_table_prefix: str = "quarantine_"
    description: str = ""

    @property
    def source_columns(self) -> tuple[SourceColumn, ...]:
        """The CSV columns that the contract reads, in document order, each once."""
        needed: dict[str, bool] = {}
        for column in self.columns:
            if column.source is not None:
                needed[column.source] = needed.get(column.source, False) or column.never_null
        return tuple(SourceColumn(name, required) for name, required in needed.items())

    @property
    def partition_columns(self) -> tuple[Column, ...]:
        """The columns that the processed zone is partitioned by, in the order of the folders."""
        return tuple(self.column(name) for name in self.partitions)

    @property
    def table(self) -> str:
        """The last folder of the dataset; with a prefix it names a table."""
        return self.dataset.rpartition("/")[2]

    @property
    def raw_table(self) -> str:
        """The name of the table over the raw zone, `raw_orders`."""
        return self.raw_table_prefix + self.table

    @property
    def processed_table(self) -> str:
        """The name of the table of accepted rows, `processed_orders`."""
        return self.processed_table_prefix + self.table

    @property
    def quarantine_table(self) -> str:
        """The name of the table of quarantined rows, `quarantine_orders`."""
        return self.quarantine_table_prefix + self.table

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
