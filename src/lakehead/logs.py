"""Structured logs: one JSON line per event, with the execution and object it belongs to in every line."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from io import TextIOWrapper
from pathlib import Path

from lakehead.errors import LakeheadError
from lakehead.private import make_folder, own_file

_context: ContextVar[dict[str, str]] = ContextVar("lakehead_log_context", default={})  # noqa: B039 (never mutated)


@contextlib.contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Add fields (execution, object, dataset, ...) to every line logged inside the block, in this thread or task."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


class _ContextFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in {"execution": None, "object": None, **_context.get()}.items():
            if getattr(record, name, None) is None:  # what a line says of itself stays
                setattr(record, name, value)
        return True


class _LogFile(logging.handlers.RotatingFileHandler):
    """A log file that nothing fails for: what a full or broken disk loses of it is told once, on stderr."""

    _told = False

    def _open(self) -> TextIOWrapper:
        own_file(Path(self.baseFilename))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, LakeheadError):
            error = error.__cause__  # the file could not be opened
        if isinstance(error, OSError):
            self._tell(error)
        else:
            super().handleError(record)

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            sys.stderr.write(f"The log file cannot be written ({error.strerror}): {self.baseFilename}\n")


def json_handler(handler: logging.Handler) -> logging.Handler:
    """Make a handler write JSON lines: timestamp (UTC), level, logger, message, execution, object, and extras."""
    from pythonjsonlogger.json import JsonFormatter

    handler.setFormatter(
        JsonFormatter(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp=True,
        )
    )
    handler.addFilter(_ContextFilter())
    return handler


def log_to_file(path: Path, *, level: int = logging.INFO) -> logging.Handler:
    """Write Lakehead's logs as JSON lines to a file that rotates at 32 MiB, five kept. Returns the handler."""
    make_folder(path.parent)
    handler = json_handler(_LogFile(path, maxBytes=32 << 20, backupCount=5, encoding="utf-8", delay=True))
    logger = logging.getLogger("lakehead")
    logger.setLevel(level)
    logger.addHandler(handler)
    logger.propagate = False
    return handler
