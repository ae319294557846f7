"""The web console: what a data engineer keeps open all day, and the JSON API behind it."""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = ("jinja2", "sse_starlette", "starlette", "uvicorn")


def is_installed() -> bool:
    """Whether what the console is served by is there: the extra `console`."""
    return all(find_spec(name) is not None for name in NEEDED)
