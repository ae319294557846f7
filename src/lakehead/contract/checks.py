"""Metrics of a whole file, as SQL over its accepted rows, and the judgement of what they give."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from lakehead.contract import queries, rules, sql
from lakehead.contract.model import Contract, QualityCheck, Threshold

LIMIT_WORDS = {
    "mustBe": "must be",
    "mustNotBe": "must not be",
    "mustBeGreaterThan": "must be greater than",
    "mustBeGreaterOrEqualTo": "must be at least",
    "mustBeLessThan": "must be less than",
    "mustBeLessOrEqualTo": "must be at most",
    "mustBeBetween": "must be between",
    "mustNotBeBetween": "must not be between",
}


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One check: `sql` gives one row with one number (or null), which `holds` judges.

    Where `fatal` is false a check that does not hold is a warning.
    """

    name: str
    sql: str
    threshold: Threshold
    percent: bool
    fatal: bool

    def holds(self, value: object) -> bool:
        """Whether the number is as it must be. Null, as from a sum of no rows, says nothing and so holds."""
        if value is None:
            return True
        number, limits = Decimal(str(value)), self.threshold.limits
        within = limits[0] <= number <= limits[-1]
        return {
            "mustBe": number == limits[0],
            "mustNotBe": number != limits[0],
            "mustBeGreaterThan": number > limits[0],
            "mustBeGreaterOrEqualTo": number >= limits[0],
            "mustBeLessThan": number < limits[0],
            "mustBeLessOrEqualTo": number <= limits[0],
            "mustBeBetween": within,
            "mustNotBeBetween": not within,
        }[self.threshold.operator]

    def words(self, value: object) -> str:
        """What to say of the number: `price nullValues is 12 percent, must be less than 5`."""
        unit = " percent" if self.percent else ""
        limits = " and ".join(rules.plain(limit) for limit in self.threshold.limits)
        return f"{self.name} is {value}{unit}, {LIMIT_WORDS[self.threshold.operator]} {limits}"


def file_checks(contract: Contract, relation: str) -> tuple[FileCheck, ...]:
    """The contract's checks as queries over `relation`, the accepted rows of one file."""
    return tuple(
        FileCheck(
            check.name, _query(contract, check, relation), check.threshold, check.percent, check.severity == "error"
        )
        for check in contract.quality
    )


def _query(contract: Contract, check: QualityCheck, relation: str) -> str:
    if check.metric == "sql":
        return f"WITH {queries.OBJECT} AS (SELECT * FROM {relation}) SELECT * FROM ({check.query})"
    if check.metric == "rowCount":
        return f"SELECT COUNT(*) FROM {relation}"
    number = _count(contract, check)
    if check.percent:
        number = f"ROUND(CAST(100 * {number} AS DECIMAL(38,6)) / NULLIF(COUNT(*), 0), 6)"
    return f"SELECT {number} FROM {relation}"


def _count(contract: Contract, check: QualityCheck) -> str:
    """An aggregate that counts the rows that the metric is about."""
    names = [sql.name(name) for name in check.columns]
    if check.metric == "duplicateValues":
        # Rows beyond the first of each value. Rows with a null in the key are like no other.
        whole = " AND ".join(f"{name} IS NOT NULL" for name in names)
        key = names[0] if len(names) == 1 else f"STRUCT_PACK({', '.join(f'k{i} := {n}' for i, n in enumerate(names))})"
        return f"(COUNT(*) FILTER (WHERE {whole}) - COUNT(DISTINCT {key}) FILTER (WHERE {whole}))"
    tests = [f"{name} IS NULL" for name in names]
    if check.rules:
        column = contract.column(check.columns[0])
        tests = [f"({rules.broken(rule, column, names[0])})" for rule in check.rules]
    return f"COUNT(*) FILTER (WHERE {' OR '.join(tests)})"
