"""Which objects of a raw bucket are a dataset's: the rule that the EventBridge rule on AWS states too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lakehead.events.pattern import wildcard_matches
from lakehead.model import Json

EXTENSIONS = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class DatasetRule:
    """Objects below `<dataset>/` in the bucket whose names end in .csv or .csv.gz.

    Empty files match: they commit zero rows and say so. (A rule on `size` would drop them without a word.)
    """

    dataset: str
    bucket: str

    @property
    def prefix(self) -> str:
        """How the dataset's keys begin."""
        return f"{self.dataset}/"

    def pattern(self) -> dict[str, Json]:
        """The event pattern, for EventBridge and for EventPattern."""
        literal = self.prefix.replace("\\", "\\\\").replace("*", "\\*")
        wildcards = [{"wildcard": f"{literal}*{extension}"} for extension in EXTENSIONS]
        return {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"bucket": {"name": [self.bucket]}, "object": {"key": wildcards}},
        }

    def covers(self, bucket: str, key: str) -> bool:
        """Whether an object is the dataset's. Hidden names never are: `.x`, `_x`, and what lies in such folders."""
        if bucket != self.bucket or not key.startswith(self.prefix):
            return False
        inside = key[len(self.prefix) :]
        return not is_hidden(inside) and any(wildcard_matches(f"*{extension}", inside) for extension in EXTENSIONS)


def is_hidden(key: str) -> bool:
    """Whether a segment of the key begins with `.` or `_`: temporary files, and what crawlers do not see."""
    return any(segment.startswith((".", "_")) for segment in key.split("/"))


def dataset_of(rules: Iterable[DatasetRule], bucket: str, key: str) -> str | None:
    """The dataset that an object belongs to: the one with the longest prefix; None where no rule covers it."""
    covering = [rule.dataset for rule in rules if rule.covers(bucket, key)]
    return max(covering, key=len, default=None)
