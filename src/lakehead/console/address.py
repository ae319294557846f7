"""Where the console of a lake runs, told by the process that serves it, and links that open it.

Imports nothing of the server, so that `lakehead console link` is quick.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from lakehead.config import LakeConfig
from lakehead.console.launch import read_token
from lakehead.errors import Busy, ConfigError
from lakehead.locks import is_held

LOCK_FILE = "console.lock"
"""Held by the one console of a lake's environment, as long as it runs."""
ADDRESS_FILE = "console.json"
ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a console is, and whether it wants a token."""

    url: str
    token: bool


def note_address(state_dir: Path, address: Address) -> None:
    """Tell others where the console is that this process serves."""
    path = state_dir / ADDRESS_FILE
    aside = path.with_name(f".{ADDRESS_FILE}")
    aside.write_text(json.dumps(asdict(address)), encoding="utf-8")
    aside.replace(path)


def forget_address(state_dir: Path) -> None:
    """The console is there no more."""
    (state_dir / ADDRESS_FILE).unlink(missing_ok=True)


def running_console(config: LakeConfig) -> Address:
    """Where the console of this environment runs. Raises ConfigError where none does.

    The lock tells whether it lives: a port that another program took over after a crash is never asked, or told a
    token.
    """
    if is_held(config.state_dir / LOCK_FILE):
        try:
            told = json.loads((config.state_dir / ADDRESS_FILE).read_text(encoding="utf-8"))
            return Address(str(told["url"]), bool(told["token"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it is about to begin, or to end
    raise ConfigError(
        "no console runs for this environment of the lake",
        hint="Start it with: lakehead up",
        path=str(config.root),
        environment=config.environment,
    )


def fresh_link(config: LakeConfig) -> str:
    """A link that opens the running console once, for ten minutes. Raises ConfigError, and Busy where it is silent."""
    address = running_console(config)
    return launch_url(address.url, _new_code(address.url, console_token(config)) if address.token else "")


def console_token(config: LakeConfig) -> str:
    """The token that programs send. Raises ConfigError where none was made yet."""
    found = read_token(config.state_dir)
    if found is None:
        hint = "It is made when a console starts: lakehead up"
        raise ConfigError("this environment's console has no token yet", hint=hint, path=str(config.root))
    return found


def launch_url(url: str, code: str) -> str:
    """The address that opens the console at `url`; without a code the one of its first page."""
    return f"{url}/launch?{urlencode({'code': code})}" if code else f"{url}/"


def _new_code(url: str, token: str) -> str:
    place = urlsplit(url)
    # http.client goes by no proxy: the token stays on this machine.
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", "/api/v1/launch-codes", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        if answer.status == 201:
            return str(told["code"])
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise Busy("the console does not answer", hint="Try again.", url=url) from error
    finally:
        connection.close()
    # It was started with another token, which was removed or replaced since.
    hint = "Start `lakehead up` again."
    raise ConfigError("the running console does not know the token of the file", hint=hint, url=url)
