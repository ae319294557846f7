"""The exception tree. Whether a retry can help is in the type, never in a string.

LakeheadError
├── TransientError                 a retry can help
│   ├── StorageUnavailable
│   ├── CommitConflict             another attempt wrote the record in between
│   └── Busy                       a lock or a limit; wait and try again
└── TerminalError                  the same input fails again
    ├── UsageError                 the command asks for something that cannot be done
    │   ├── ConfigError
    │   ├── InvalidKey
    │   └── NotFound
    │       ├── BucketNotFound
    │       ├── ObjectNotFound
    │       ├── TableNotFound
    │       ├── CrawlerNotFound
    │       └── ExecutionNotFound
    ├── ContractError              the document is not a valid contract
    │   └── UnsupportedContract    valid, but asks for what Lakehead cannot run
    ├── SourceError                the landed file cannot be loaded as its contract says
    │   ├── HeaderMismatch         (missing column, duplicate header, wrong delimiter)
    │   ├── UndecodableText
    │   ├── BinaryContent
    │   ├── CorruptArchive
    │   ├── TooLarge
    │   ├── TooManyQuarantined
    │   ├── QualityCheckFailed
    │   └── DuplicateContent
    ├── ObjectChanged              the object is no longer the version that was asked for
    ├── RewriteRefused             onRewrite: reject
    ├── PreconditionFailed         a conditional put found another object
    ├── CountMismatch              rows read are not rows committed + rows quarantined
    ├── CorruptRecord              a commit record that cannot be read
    ├── CrawlerRunning
    ├── QueryError
    │   └── UnsupportedSql
    ├── WorkflowError
    │   ├── DefinitionError
    │   ├── ExecutionAlreadyExists
    │   └── NotRedrivable
    └── NotificationError
"""

from __future__ import annotations

from typing import Any


class LakeheadError(Exception):
    """Something Lakehead can explain: what happened, where, and what to do next.

    `where` holds the fields a reader needs to find the place: dataset, bucket, key, file, path, line, column,
    expected, received, ... A field that is None is left out.
    """

    retryable = False

    def __init__(self, message: str, *, hint: str = "", **where: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where: dict[str, Any] = {name: value for name, value in where.items() if value is not None}

    @property
    def name(self) -> str:
        """The error name a workflow's Retry and Catch match, `Lakehead.HeaderMismatch`."""
        return f"Lakehead.{type(self).__name__}"

    def __str__(self) -> str:
        place = ", ".join(f"{name}={value}" for name, value in self.where.items())
        return self.message + (f" [{place}]" if place else "") + (f" {self.hint}" if self.hint else "")

    def to_json(self) -> dict[str, Any]:
        """`{"error", "message", "hint", "where"}`, for `--output json` and logs."""
        return {"error": self.name, "message": self.message, "hint": self.hint, "where": self.where}


class TransientError(LakeheadError):
    """A retry can help."""

    retryable = True


class StorageUnavailable(TransientError):
    """The store did not answer, or the disk is full or failing."""


class CommitConflict(TransientError):
    """Another attempt wrote this object's commit record in between."""


class Busy(TransientError):
    """A lock or a limit is in the way; wait and try again."""


class TerminalError(LakeheadError):
    """The same input fails again."""


class UsageError(TerminalError):
    """The command asks for something that cannot be done."""


class ConfigError(UsageError):
    """`lakehead.toml`, an environment variable or a flag is wrong."""


class InvalidKey(UsageError):
    """A key that no store may hold: empty, absolute, with `..`, a backslash or a NUL."""


class NotFound(UsageError):
    """Something named does not exist."""


class BucketNotFound(NotFound):
    """No such bucket."""


class ObjectNotFound(NotFound):
    """No such object, or no such version of it."""


class TableNotFound(NotFound):
    """No such table in the catalog."""


class CrawlerNotFound(NotFound):
    """No such crawler."""


class ExecutionNotFound(NotFound):
    """No such execution."""


class ContractError(TerminalError):
    """The document is not a valid contract. Fields: file, path, line."""


class UnsupportedContract(ContractError):
    """A valid contract that asks for what Lakehead cannot run."""


class SourceError(TerminalError):
    """The landed file cannot be loaded as its contract says. Fields: dataset, bucket, key, line, column, ..."""


class HeaderMismatch(SourceError):
    """The header misses a column, repeats one, or is cut by another delimiter."""


class UndecodableText(SourceError):
    """Bytes that are no text in the contract's encoding."""


class BinaryContent(SourceError):
    """A NUL or another sign that this is no text file."""


class CorruptArchive(SourceError):
    """A gzip file that is truncated or whose checksum is wrong."""


class TooLarge(SourceError):
    """A record, or what a gzip file expands to, is beyond the limit."""


class TooManyQuarantined(SourceError):
    """The share of quarantined rows is above the contract's limit."""


class QualityCheckFailed(SourceError):
    """A quality metric of the contract does not hold for the file as a whole."""


class DuplicateContent(SourceError):
    """The same bytes were loaded under another key, and the contract refuses that."""


class ObjectChanged(TerminalError):
    """The object is no longer the version that was asked for; its newer version has an event of its own."""


class RewriteRefused(TerminalError):
    """The object's rows are committed already and the contract says `onRewrite: reject`."""


class PreconditionFailed(TerminalError):
    """A conditional put found another object than it asked for."""


class CountMismatch(TerminalError):
    """Rows read are not rows committed plus rows quarantined; nothing was committed."""


class CorruptRecord(TerminalError):
    """A commit record that cannot be read. Its object is left as it is until `lakehead verify --repair`."""


class CrawlerRunning(TerminalError):
    """The crawler runs already; one run at a time."""


class QueryError(TerminalError):
    """The SQL is wrong, or names something that does not exist."""


class UnsupportedSql(QueryError):
    """Valid Athena SQL that the embedded engine cannot answer as Athena does."""


class WorkflowError(TerminalError):
    """Something about an execution."""


class DefinitionError(WorkflowError):
    """The document is no valid state machine. Fields: path (JSON path of the fault)."""


class ExecutionAlreadyExists(WorkflowError):
    """The execution name is taken by another input."""


class NotRedrivable(WorkflowError):
    """The execution did not fail, so there is nothing to redrive."""


class NotificationError(TerminalError):
    """A notification cannot be sent as it is configured."""
