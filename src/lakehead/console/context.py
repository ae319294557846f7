"""What every route of the console works with."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from lakehead.console.assets import Assets
from lakehead.console.desk import QueryDesk
from lakehead.console.launch import Keys
from lakehead.console.live import Hub
from lakehead.console.slots import Slots
from lakehead.lake import Lake


@dataclass(frozen=True, slots=True)
class Console:
    """The lake that the console shows, and the parts that routes share. `keys` is None where no token is wanted."""

    lake: Lake
    desk: QueryDesk
    hub: Hub
    assets: Assets
    keys: Keys | None
    uploads: Slots


def console_of(request: Request) -> Console:
    """The console that serves this request."""
    found: Console = request.app.state.console
    return found
