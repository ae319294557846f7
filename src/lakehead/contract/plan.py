"""From a contract to one SQL query that casts, checks and judges every row.

The query is nested: the innermost select reads text, each one around it adds what the next needs, so that no cast runs
twice. Names that begin with an underscore are the query's own: `_x1` is source column 1 as it was read, `_t1` its
trimmed text, `_r3` the engine's cast for column 3, `_w3` a computed column before it is fitted into its type.

DuckDB 2.0 pushes TRY_CAST over read_csv into the reader as a hard cast and loses rows; whoever runs this query over
read_csv must first `SET disabled_optimizers='type_pushdown'`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lakehead.contract import rules, sql
from lakehead.contract.casts import Cast, cast_of, clean, why
from lakehead.contract.checks import FileCheck, file_checks
from lakehead.contract.model import WHITESPACE, Column, Contract, Kind, NotMissing, SourceColumn


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column of the accepted rows, in document order. `type` is its SQL type, `decimal(12,2)`."""

    name: str
    type: str
    partition: bool = False


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """What to read, what comes out, and the SQL between."""

    contract: Contract
    source_columns: tuple[SourceColumn, ...]
    output_columns: tuple[OutputColumn, ...]

    def select_sql(self, relation: str, absent: frozenset[str] = frozenset()) -> str:
        """One DuckDB query over `relation` (a table name or a parenthesised query).

        In: `_line BIGINT` and every source column but the `absent` ones (which count as null) as VARCHAR under its
        contract name. Out, one row for each row: `_line`, the output columns in document order, typed, null where
        the text has no value, and `_reasons VARCHAR[]`, empty where the row is good. No row makes the query fail.
        """
        return _Query(self.contract, relation, absent).write()

    def sure_sql(self, relation: str, names: tuple[str, ...], blanks: str = WHITESPACE) -> str:
        """A quick DuckDB query for the many rows that need no closer look: no text is trimmed, no grammar matched.

        In: `_line BIGINT` and the columns `names` of a file without quotes as text, null where it is empty. `blanks`
        are the characters of WHITESPACE that occur in the file. Out: `_line`, the output columns, and `_text`: null
        where `select_sql` would give the row the same values and no reason; else the row's text, for `fields_sql`.
        A contract with unique keys has no such query.
        """
        return _SureQuery(self.contract, relation, frozenset(), names=names, blanks=blanks).write()

    def fields_sql(self, relation: str, names: tuple[str, ...]) -> str:
        """The rows that `sure_sql` left in doubt (`_line`, `_text`), cut into fields again, for `select_sql`."""
        fields = ", ".join(f"NULLIF(_f[{number}], '') AS {sql.name(name)}" for number, name in enumerate(names, 1))
        delimiter = sql.text(self.contract.dialect.delimiter)
        return f"(SELECT _line, {fields} FROM (SELECT _line, STRING_SPLIT(_text, {delimiter}) AS _f FROM {relation}))"

    def quality_sql(self, relation: str) -> tuple[FileCheck, ...]:
        """The contract's checks of a whole file, as queries over a relation of its accepted rows (output columns)."""
        return file_checks(self.contract, relation)


def column_plan(contract: Contract) -> ColumnPlan:
    """The plan of a contract."""
    output = tuple(OutputColumn(c.name, c.type.sql, c.name in contract.partitions) for c in contract.columns)
    return ColumnPlan(contract, contract.source_columns, output)


@dataclass
class _Query:
    contract: Contract
    relation: str
    absent: frozenset[str]
    layers: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.columns = self.contract.columns
        self.nulls = self.contract.dialect.null_texts
        self.number = {column.name: index for index, column in enumerate(self.columns)}
        sources = list(dict.fromkeys(column.source for column in self.columns if column.source is not None))
        self.sources: dict[str, int] = {name: index for index, name in enumerate(sources)}
        self.casts: dict[str, Cast] = {}
        for column in self.columns:
            found = cast_of(column) if column.source is not None else None
            if found is not None:
                self.casts[column.name] = found

    def write(self) -> str:
        self.layers = [self._read(), self._canonical(), self._trimmed(), self._nulled(), self._values()]
        self._compute()
        self.layers.append([f"COALESCE({' OR '.join(self._defects()) or 'FALSE'}, FALSE) AS _bad"])
        bad = "_bad"
        for index, key in enumerate(self.contract.unique_keys):
            self.layers.append([f"{_repeated(key, bad)} AS _d{index}"])
            bad = f"({bad} OR _d{index})"
        return self._nested(f"{self._reasons(bad)} AS _reasons")

    def _nested(self, last: str) -> str:
        """The layers around each other; out come `_line`, the output columns and `last`."""
        query = f"SELECT {', '.join(self.layers[0])} FROM {self.relation}"
        for layer in filter(None, self.layers[1:]):
            query = f"SELECT *, {', '.join(layer)} FROM (\n{query}\n)"
        names = ", ".join(sql.name(column.name) for column in self.columns)
        return f"SELECT _line, {names}, {last} FROM (\n{query}\n)"

    def _compute(self) -> None:
        for generation in self._generations():
            self.layers.append([f"{column.expression} AS _w{self.number[column.name]}" for column in generation])
            self.layers.append([f"{self._fitted(column)} AS {sql.name(column.name)}" for column in generation])

    def _read(self) -> list[str]:
        items = ["_line"]
        for name, index in self.sources.items():
            items.append(f"{self._raw(name)} AS _x{index}")
        for column in self.columns:
            cast = self.casts.get(column.name)
            if cast is not None and cast.canonical is not None and column.source is not None:
                items.append(f"TRY_CAST({self._raw(column.source)} AS {cast.sql_type}) AS _r{self.number[column.name]}")
        return items

    def _raw(self, source: str) -> str:
        return "CAST(NULL AS VARCHAR)" if source in self.absent else sql.name(source)

    def _canonical(self) -> list[str]:
        """`_ok3`: whether the text of column 3 is canonical, so that `_r3` is its value."""
        items = []
        for column in self.columns:
            cast, index = self.casts.get(column.name), self.number[column.name]
            if cast is not None and cast.canonical is not None and column.source is not None:
                items.append(f"{cast.fast(f'_x{self.sources[column.source]}', f'_r{index}', self.nulls)} AS _ok{index}")
        return items

    def _trimmed(self) -> list[str]:
        """`_t1`: the text of source column 1, trimmed. That needs no work where it is canonical for all its columns."""
        items = []
        for source, number in self.sources.items():
            fed = [column for column in self.columns if column.source == source]
            guarded = all((cast := self.casts.get(c.name)) and cast.canonical is not None for c in fed)
            text = clean(f"_x{number}", common=not guarded)
            if guarded:
                fast = " AND ".join(f"_ok{self.number[column.name]}" for column in fed)
                text = f"CASE WHEN {fast} THEN _x{number} ELSE {text} END"
            items.append(f"{text} AS _t{number}")
        return items

    def _nulled(self) -> list[str]:
        """`_n1`: the trimmed text, null where it is one of the contract's null texts."""
        if not self.nulls:
            return []
        nulls = ", ".join(map(sql.text, self.nulls))
        return [f"CASE WHEN _t{n} IN ({nulls}) THEN NULL ELSE _t{n} END AS _n{n}" for n in self.sources.values()]

    def _values(self) -> list[str]:
        items = []
        for column in self.columns:
            if column.source is None:
                continue
            index, text, cast = self.number[column.name], self._text_of(column), self.casts.get(column.name)
            value = text if cast is None else cast.careful(text)
            if cast is not None and cast.canonical is not None:
                value = f"CASE WHEN _ok{index} THEN _r{index} ELSE {value} END"
            items.append(f"{value} AS {sql.name(column.name)}")
        return items

    def _text_of(self, column: Column) -> str:
        assert column.source is not None
        return f"{'_n' if self.nulls else '_t'}{self.sources[column.source]}"

    def _generations(self) -> Iterator[list[Column]]:
        """Computed columns, each after those that it reads."""
        known = {column.name for column in self.columns if column.expression is None}
        while waiting := [column for column in self.columns if column.name not in known]:
            ready = [column for column in waiting if known.issuperset(column.inputs)]
            yield ready
            known.update(column.name for column in ready)

    def _fitted(self, column: Column) -> str:
        """A computed value in its column's type, null where it would overflow or lose digits."""
        wide, kind = f"_w{self.number[column.name]}", column.type
        if kind.kind is Kind.DOUBLE:
            return f"CASE WHEN ABS({wide}) <= CAST('1.7976931348623157e308' AS DOUBLE) THEN CAST({wide} AS DOUBLE) END"
        cast = f"TRY_CAST({wide} AS {kind.sql})"
        return f"CASE WHEN {cast} = {wide} THEN {cast} END" if kind.exact else cast

    def _failed(self, column: Column) -> str:
        """SQL: there was something to read or compute, and it has no value of the column's type."""
        value = sql.name(column.name)
        if column.expression is not None:
            return f"{value} IS NULL AND _w{self.number[column.name]} IS NOT NULL"
        return f"{value} IS NULL AND {self._text_of(column)} IS NOT NULL" if column.name in self.casts else ""

    def _defects(self) -> Iterator[str]:
        """Conditions under which a row is bad, as cheap as can be, for every row runs through them."""
        for column in self.columns:
            value = sql.name(column.name)
            if column.never_null:
                yield f"{value} IS NULL"
            elif failed := self._failed(column):
                yield f"({failed})"
            for rule in column.rules:
                yield f"({rules.broken(rule, column, value)})"

    def _reasons(self, bad: str) -> str:
        parts = [part for column in self.columns for part in self._reasons_of(column)]
        return reason_list(bad, parts)

    def _reasons_of(self, column: Column) -> Iterator[str]:
        """SQL texts, null where the reason does not apply."""
        value, prefix = sql.name(column.name), f"{column.name}: "
        sound = f"NOT ({self._inputs_failed(column)}) AND " if column.inputs else ""
        required = sql.text(prefix + "required")
        if column.name in self.casts:
            text = self._text_of(column)
            unread = why(text, self.casts[column.name], prefix)
            if column.required:
                yield f"CASE WHEN {value} IS NULL THEN CASE WHEN {text} IS NULL THEN {required} ELSE {unread} END END"
            else:
                yield f"CASE WHEN {self._failed(column)} THEN {unread} END"
        elif column.expression is not None:
            unfit = f"WHEN {self._failed(column)} THEN {self._unfit(column, prefix)}"
            empty = f" WHEN {value} IS NULL THEN {required}" if column.required else ""
            cases = f"CASE {unfit}{empty} END"
            yield f"CASE WHEN {sound.removesuffix(' AND ')} THEN {cases} END" if sound else cases
        elif column.required:
            yield f"CASE WHEN {value} IS NULL THEN {required} END"
        for rule in column.rules:
            test = rules.broken(rule, column, value)
            if isinstance(rule, NotMissing) and column.required:
                test = f"{value} IS NOT NULL AND ({test})"  # a null is reported as required
            yield f"CASE WHEN {sound}({test}) THEN {sql.text(prefix + rules.words(rule))} END"
        for index, key in enumerate(self.contract.unique_keys):
            if key[0] == column.name:
                yield f"CASE WHEN _d{index} THEN {sql.text(', '.join(key) + ': not unique')} END"

    def _unfit(self, column: Column, prefix: str) -> str:
        overflow = sql.text(f"{prefix}overflows {column.type.sql}")
        if not column.type.exact:
            return overflow
        wide, lossy = f"_w{self.number[column.name]}", sql.text(f"{prefix}does not fit {column.type.sql} without loss")
        return f"CASE WHEN TRY_CAST({wide} AS {column.type.sql}) IS NOT NULL THEN {lossy} ELSE {overflow} END"

    def _inputs_failed(self, column: Column) -> str:
        """SQL: one of the values that a computed column reads has a reason of its own for being null."""
        tests = []
        for name in column.inputs:
            other = self.contract.column(name)
            if other.required:
                tests.append(f"{sql.name(name)} IS NULL")
            elif failed := self._failed(other):
                tests.append(f"({failed})")
            if other.inputs:
                tests.append(f"({self._inputs_failed(other)})")
        return " OR ".join(tests) or "FALSE"


@dataclass
class _SureQuery(_Query):
    """`_f2` is the file's column 2 as it was read; `_n1` the text of source column 1, null where a null text stands."""

    names: tuple[str, ...] = ()
    blanks: str = WHITESPACE

    def write(self) -> str:
        self.layers = [["_line", *(f"{sql.name(name)} AS _f{index}" for index, name in enumerate(self.names))]]
        self.layers.append(self._nulled())
        self.layers.append(self._values())
        self._compute()
        fields = ", ".join(f"COALESCE(_f{index}, '')" for index in range(len(self.names)))
        text = f"CONCAT_WS({sql.text(self.contract.dialect.delimiter)}, {fields})"
        return self._nested(f"CASE WHEN {' AND '.join(self._demands()) or 'TRUE'} THEN NULL ELSE {text} END AS _text")

    def _nulled(self) -> list[str]:
        # One that trimming would change stands in no trimmed text.
        nulls = ", ".join(sql.text(text) for text in self.nulls if text == text.strip(WHITESPACE))
        fields = [(self._field(source), number) for source, number in self.sources.items()]
        return (
            [f"CASE WHEN {text} IN ({nulls}) THEN NULL ELSE {text} END AS _n{n}" for text, n in fields] if nulls else []
        )

    def _field(self, source: str) -> str:
        return f"_f{self.names.index(source)}" if source in self.names else "CAST(NULL AS VARCHAR)"

    def _text_of(self, column: Column) -> str:
        assert column.source is not None
        nulled = len(self.layers) > 1 and self.layers[1]
        return f"_n{self.sources[column.source]}" if nulled else self._field(column.source)

    def _values(self) -> list[str]:
        items = []
        for column in self.columns:
            if column.source is None:
                continue
            value, cast = self._text_of(column), self.casts.get(column.name)
            if cast is not None:
                canonical = cast.canonical is not None
                value = f"TRY_CAST({value} AS {cast.sql_type})" if canonical else cast.careful(value)
            items.append(f"{value} AS {sql.name(column.name)}")
        return items

    def _demands(self) -> Iterator[str]:
        """Conditions, never true for a row that `select_sql` would see otherwise. A null counts as false."""
        for column in self.columns:
            value = sql.name(column.name)
            if column.never_null:
                yield f"{value} IS NOT NULL"
            if column.source is not None:
                read = self._as_it_stands(column, value)
                yield read if column.never_null else f"({self._text_of(column)} IS NULL OR ({read}))"
            elif not column.never_null:
                yield f"({value} IS NOT NULL OR _w{self.number[column.name]} IS NULL)"
            for rule in column.rules:
                yield f"NOT COALESCE({rules.broken(rule, column, value)}, FALSE)"

    def _as_it_stands(self, column: Column, value: str) -> str:
        """SQL, null or false unless the text that was read, untrimmed, is canonical or a whole match."""
        text, cast = self._text_of(column), self.casts.get(column.name)
        if cast is not None:
            return cast.fast(text, value, ()) if cast.canonical is not None else f"{value} IS NOT NULL"
        ends = "".join(f" AND NOT ENDS_WITH({text}, {sql.text(blank)})" for blank in self.blanks)
        # ASCII's blanks come before the exclamation mark.
        wide = [blank for blank in self.blanks if blank > "!"]
        starts = "".join(f" AND NOT STARTS_WITH({text}, {sql.text(blank)})" for blank in wide)
        return f"{text} >= '!'{starts}{ends}"


def _repeated(key: tuple[str, ...], bad: str) -> str:
    """SQL: a good row whose key an earlier good row has. A key with a null in it is like no other."""
    whole = " AND ".join(f"{sql.name(name)} IS NOT NULL" for name in key)
    group = ", ".join(sql.name(name) for name in key)
    rank = f"ROW_NUMBER() OVER (PARTITION BY {bad}, {group} ORDER BY _line)"
    return f"(NOT {bad} AND {whole} AND {rank} > 1)"


def reason_list(bad: str, texts: list[str]) -> str:
    """SQL for the list of those texts that are not null, built for bad rows only. No text holds a line feed."""
    if not texts:
        return "CAST([] AS VARCHAR[])"
    joined = f"CONCAT_WS(CHR(10), {', '.join(texts)})"
    return f"CASE WHEN {bad} THEN STRING_SPLIT({joined}, CHR(10)) ELSE CAST([] AS VARCHAR[]) END"
