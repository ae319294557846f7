"""What became of a load's rows, counted, and the contract's judgement of the counts. The same for every engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from lakehead.contract import Contract
from lakehead.contract.checks import FileCheck
from lakehead.contract.model import QualityCheck
from lakehead.errors import CountMismatch, QualityCheckFailed, TooManyQuarantined
from lakehead.etl.base import EngineResult, StagedFile
from lakehead.etl.folders import refuse_too_many_partitions
from lakehead.etl.place import Place
from lakehead.etl.records import Normalised


@dataclass
class Tally:
    """Counts of one load of `records` records. `first_bad` is the first line of each reason.

    `partitions` holds the accepted rows; `quarantined` counts malformed records and rows that break a rule.
    """

    contract: Contract
    place: Place
    records: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first_bad: dict[str, int] = field(default_factory=dict)
    partitions: list[tuple[tuple[str | None, ...], int]] = field(default_factory=list)

    @property
    def committed(self) -> int:
        """The rows that are accepted."""
        return self.records - self.quarantined

    @property
    def ranked(self) -> dict[str, int]:
        """The reasons, the commonest first; the same order whatever the engine counted first."""
        return dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0])))

    def begin(self, found: Normalised) -> None:
        """Start with what the careful reader found: all records, and the malformed ones among them."""
        self.records, self.quarantined = found.records, found.reasons.total()
        self.reasons, self.first_bad = Counter(found.reasons), dict(found.first_bad)

    def accept(self, values: Sequence[str | None], count: int) -> None:
        """Count the accepted rows of a partition. Raises TooLarge where it is one partition too many."""
        self.partitions.append((tuple(values), count))
        refuse_too_many_partitions(len(self.partitions), self.contract.partitions, self.place)

    def refuse(self, reason: str, count: int, line: int) -> None:
        """Count rows that break one rule; `line` is the first of them. They may break others too."""
        self.reasons[reason] += count
        self.first_bad[reason] = min(line, self.first_bad.get(reason, line))

    def refuse_too_many(self) -> None:
        """Raise TooManyQuarantined where every row is bad, or more of them than the contract allows."""
        limit = self.contract.max_quarantined_share
        if self.quarantined < self.records and self.quarantined <= limit * self.records:
            return
        top = "; ".join(
            f"{reason} ({count} rows, first in line {self.first_bad[reason]})"
            for reason, count in islice(self.ranked.items(), 3)
        )
        share = "all" if self.quarantined == self.records else f"{self.quarantined} of"
        raise TooManyQuarantined(
            f"{share} {self.records} rows break the contract: {top}",
            hint="Mend the file and land it again, or change the contract and replay.",
            **self.place.where,
            line=min(self.first_bad.values()),
            expected=f"at most {limit:.0%} quarantined, and not every row",
        )

    def check_quality(
        self, checks: Sequence[FileCheck], value_of: Callable[[QualityCheck, str], object]
    ) -> tuple[str, ...]:
        """Hold the accepted rows against the contract's checks; the warnings of those that only warn.

        `value_of` runs a check's query. Raises QualityCheckFailed.
        """
        warnings = []
        for told, check in zip(self.contract.quality, checks, strict=True):
            value = self.committed if told.metric == "rowCount" else value_of(told, check.sql)
            if check.holds(value):
                continue
            if check.fatal:
                raise QualityCheckFailed(
                    f"a quality check of the contract failed: {check.words(value)}",
                    hint="Mend the file and land it again, or change the check and replay.",
                    **self.place.where,
                    received=str(value),
                )
            warnings.append(f"quality: {check.words(value)}")
        return tuple(warnings)

    def demand(self, what: str, expected: int, received: int) -> None:
        """Raise CountMismatch unless two counts of the same rows agree."""
        if expected != received:
            raise CountMismatch(
                f"{what}; nothing was committed",
                hint="This is a fault of Lakehead; please report it with the file.",
                **self.place.where,
                expected=expected,
                received=received,
            )

    def result(
        self, files: tuple[StagedFile, ...], quarantine: StagedFile | None, warnings: tuple[str, ...]
    ) -> EngineResult:
        """What the load came to."""
        return EngineResult(self.records, self.committed, self.quarantined, files, quarantine, self.ranked, warnings)
