"""Who may open the console: a token in a file, codes that open it once, and the cookie that keeps a browser in."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from lakehead.errors import ConfigError
from lakehead.private import make_folder
from lakehead.storage.disk import fsync_directories

log = logging.getLogger(__name__)

FILE = "console-token"
CODE_SECONDS = 600.0
"""How long a link opens the console that was asked of a running one."""
MAX_CODES = 100
"""How many codes wait at a time; a newer one takes the place of the oldest."""
COOKIE_SECONDS = 30 * 86_400
_TOKEN = re.compile(r"[0-9A-Za-z_-]{43}")


class Keys:
    """The token of a lake's console and what is derived from it. Safe from several threads."""

    def __init__(self, token: str, port: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.token = token
        self.cookie_name = f"lakehead-{port}"
        """Browsers send a host's cookies to all its ports, so the name keeps two consoles apart."""
        self.cookie = _derived(token, "cookie")
        self._clock = clock
        self._lock = threading.Lock()
        self._codes: OrderedDict[str, float | None] = OrderedDict()

    def new_code(self, seconds: float | None = CODE_SECONDS) -> str:
        """A code that opens the console once, within `seconds`; None: as long as the console runs."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._codes[code] = None if seconds is None else self._clock() + seconds
            while len(self._codes) > MAX_CODES:
                self._codes.popitem(last=False)
        return code

    def redeem(self, code: str) -> bool:
        """Whether the code opens the console; it does so no more afterwards."""
        with self._lock:
            matching = [known for known in self._codes if _same(known, code)]
            ends = [self._codes.pop(known) for known in matching]
        return any(end is None or self._clock() < end for end in ends)

    def knows_token(self, token: str) -> bool:
        """Whether it is this console's token."""
        return _same(self.token, token)

    def knows_cookie(self, value: str) -> bool:
        """Whether the cookie was set by this console, or by an earlier run of it."""
        return _same(self.cookie, value)


def token_of(state_dir: Path) -> str:
    """The token of this environment's console; made where there is none, or where others could have read it.

    Raises ConfigError where the file cannot be trusted or written.
    """
    path = state_dir / FILE
    found = read_token(state_dir)
    if found is not None:
        return found
    token = secrets.token_urlsafe(32)
    aside = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        make_folder(state_dir)
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as stream:
            stream.write(token + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
        fsync_directories([state_dir])
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    return token


def read_token(state_dir: Path) -> str | None:
    """The token that the console of this environment was given last. None where there is none that is a secret."""
    path = state_dir / FILE
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as stream:
            status = os.fstat(stream.fileno())
            text = stream.read(100).strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unusable(path, getattr(error, "strerror", None) or "it is no text") from error
    if status.st_uid != os.geteuid():
        raise _unusable(path, "it belongs to another user")
    if stat.S_IMODE(status.st_mode) & 0o077:
        log.warning("others could read the console's token: a new one is made", extra={"path": str(path)})
        return None
    return text if _TOKEN.fullmatch(text) else None


def _unusable(path: Path, reason: str) -> ConfigError:
    hint = "Remove the file; the next `lakehead up` makes a new one."
    return ConfigError(f"the console's token cannot be used: {reason}", hint=hint, path=str(path))


def _derived(token: str, purpose: str) -> str:
    return hmac.new(token.encode(), f"lakehead console {purpose}".encode(), hashlib.sha256).hexdigest()


def _same(known: str, received: str) -> bool:
    """In a time that does not tell how much of them is equal."""
    return hmac.compare_digest(known.encode(), received.encode("utf-8", "surrogatepass"))
