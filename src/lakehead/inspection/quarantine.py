"""Quarantined rows and their reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from lakehead.etl.base import CommitRecord
from lakehead.results import QuarantineReason, QuarantineSummary


def quarantined(records: Iterable[CommitRecord], limit: int) -> list[QuarantineSummary]:
    """The objects with quarantined rows, those with most first."""
    found = [
        QuarantineSummary(
            record.dataset,
            record.source.key,
            record.rows_quarantined,
            dict(sorted(record.reasons.items(), key=lambda item: (-item[1], item[0]))),
            datetime.fromisoformat(record.committed_at),
            record.execution,
        )
        for record in records
        if record.rows_quarantined
    ]
    return sorted(found, key=lambda one: (-one.rows, one.key))[:limit]


def quarantine_sql(table: str, key: str | None, reason: str | None, limit: int, *, reasons: str = "reasons") -> str:
    """Athena SQL for quarantined rows: key, line, text, and the reasons as this expression gives them."""

    def text(value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    conditions = [f"source_key = {text(key)}"] if key else []
    if reason:
        conditions.append(f"contains(reasons, {text(reason)})")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f'SELECT source_key, line, text, {reasons} FROM "{table}"{where} ORDER BY source_key, line LIMIT {limit}'


def ranked_reasons(records: Iterable[CommitRecord], key: str | None, limit: int) -> list[QuarantineReason]:
    """The reasons of quarantined rows, the commonest first."""
    rows: Counter[str] = Counter()
    objects: Counter[str] = Counter()
    for record in records:
        if key in (None, record.source.key):
            rows.update(record.reasons)
            objects.update(record.reasons.keys())
    ranked = sorted(rows.items(), key=lambda item: (-item[1], item[0]))
    return [QuarantineReason(reason, count, objects[reason]) for reason, count in ranked[:limit]]
