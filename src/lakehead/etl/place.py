"""Where a message points to: the dataset and the object of a load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lakehead.contract import Contract
from lakehead.model import ObjectVersion


@dataclass(frozen=True, slots=True)
class Place:
    """The dataset and the object that a load is about."""

    dataset: str
    origin: ObjectVersion

    @classmethod
    def of(cls, contract: Contract, origin: ObjectVersion) -> Place:
        """The place of a load."""
        return cls(contract.dataset, origin)

    @property
    def where(self) -> dict[str, Any]:
        """The fields that every error of this load carries."""
        return {"dataset": self.dataset, "bucket": self.origin.bucket, "key": self.origin.key}
