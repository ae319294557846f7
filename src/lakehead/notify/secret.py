"""Addresses with secrets: resolved from environment variables only when something is sent, and kept out of texts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

from lakehead.errors import TransientError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WHOLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")

SHORTEST = 4
"""Shorter parts of an address are not blanked out by themselves: they would blank out ordinary words."""

HIDDEN = "***"


def resolve(text: str) -> str:
    """`env:NAME` as a whole, and every `${NAME}`, replaced by the environment's values.

    Raises TransientError for a variable that is not set: a process that has it can still deliver.
    """
    whole = _WHOLE.fullmatch(text)
    if whole:
        return _variable(whole[1])
    return _REFERENCE.sub(lambda found: _variable(found[1]), text)


def missing(text: str) -> list[str]:
    """The environment variables that an address names and that are not set."""
    return [name for name in variables(text) if not os.environ.get(name)]


def variables(text: str) -> list[str]:
    """The environment variables that an address names."""
    whole = _WHOLE.fullmatch(text)
    return [whole[1]] if whole else _REFERENCE.findall(text)


def _variable(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise TransientError(
            "an environment variable is not set",
            hint=f"Set {name} where Lakehead runs; the notification waits meanwhile.",
            variable=name,
        )
    return value


def redact(text: str, address: str) -> str:
    """`text` without anything secret of an address: variables' values, user, password, path and query."""
    for secret in sorted(set(_secrets(address)), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _secrets(address: str) -> Iterator[str]:
    values = [os.environ.get(name, "").strip() for name in variables(address)]
    yield from (value for value in values if value)
    written = "" if _WHOLE.fullmatch(address) else _expanded(address)  # a variable's name is no secret
    for whole in (*values, written):
        try:
            parts = urlsplit(whole)
        except ValueError:
            yield from (whole,) if whole else ()
            continue
        found = [parts.username or "", parts.password or "", parts.query, parts.fragment, parts.path.strip("/")]
        found += parts.path.split("/")
        found += [value for _, value in parse_qsl(parts.query)]
        if parts.scheme not in ("http", "https", "smtp", "smtps"):
            found += [parts.netloc, parts.hostname or ""]  # elsewhere a token may stand in the host's place
        for part in found:
            yield from (form for form in {part, unquote(part), unquote_plus(part)} if len(form) >= SHORTEST)


def _expanded(address: str) -> str:
    return _REFERENCE.sub(lambda found: os.environ.get(found[1], ""), address)
