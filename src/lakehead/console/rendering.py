"""Templates into pages. Everything that is put into one is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from lakehead import __version__
from lakehead.console.context import console_of
from lakehead.console.wording import FILTERS, GLOBALS

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The templates of the console."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= FILTERS
    found.globals |= GLOBALS
    return found


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page from a template, which also finds `asset(name)`, `live_id`, `lake_name`, `environment` and `version`.

    Where htmx asks, to renew a part of what is shown, the page comes without its frame: `layout` is then another one.
    `live_id` is what `/live?after=` resumes by. Ask for the values after this request began, and nothing is missed.
    """
    console = console_of(request)
    config = console.lake.config
    fragment = request.headers.get("hx-request") == "true"
    body = (
        environment()
        .get_template(template)
        .render(
            layout="fragment.html" if fragment else "base.html",
            fragment=fragment,
            asset=console.assets.url,
            live_id=request.state.live_id,
            lake_name=config.name,
            environment=config.environment,
            version=__version__,
            **values,
        )
    )
    return HTMLResponse(body, status)
