"""Whether the console answers, and links that open it."""

from __future__ import annotations

from dataclasses import dataclass

from lakehead import __version__
from lakehead.console.api.endpoint import Endpoint
from lakehead.console.context import Console
from lakehead.console.launch import CODE_SECONDS


@dataclass(frozen=True, slots=True)
class Health:
    """That the console answers, and of which version it is."""

    status: str
    version: str


@dataclass(frozen=True, slots=True)
class LaunchCode:
    """A code that opens the console once: `/launch?code=...`. Empty where the console wants none."""

    code: str
    seconds: float


def health(_: Console) -> Health:
    """Whether the console answers. Needs no token."""
    return Health("ok", __version__)


def new_launch_code(console: Console) -> LaunchCode:
    """Make a code that opens the console in a browser once."""
    return LaunchCode(console.keys.new_code() if console.keys else "", CODE_SECONDS)


ENDPOINTS = (
    Endpoint("GET", "/health", health, public=True),
    Endpoint("POST", "/launch-codes", new_launch_code, status=201),
)
