"""A webhook: one HTTP POST of JSON."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from lakehead.errors import NotificationError, TransientError
from lakehead.notify.message import Message

_MAY_PASS = {408, 425, 429}
"""Statuses below 500 that ask for another try (RFC 9110, RFC 8470, RFC 6585)."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is refused: following it would hand the message to an address that nobody configured."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


class WebhookChannel:
    """Posts to an http or https address. `timeout` (seconds) bounds every wait on the network."""

    def __init__(self, address: str, *, timeout: float) -> None:
        try:
            parts = urlsplit(address)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise NotificationError("a webhook's address is http://host/... or https://host/...")
        self._address, self._timeout = address, timeout
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, message: Message) -> None:
        """Post the message; the same delivery always carries the same Idempotency-Key."""
        request = urllib.request.Request(
            self._address,
            data=json.dumps(message.to_json(), ensure_ascii=False).encode(),
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "Idempotency-Key": message.delivery_id,
                "User-Agent": "lakehead",
            },
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=self._timeout):
                return
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from error
        except (http.client.InvalidURL, ValueError) as error:
            raise NotificationError("the webhook's address is malformed") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise TransientError(f"the webhook does not answer: {type(reason).__name__} {reason}") from error


def _refusal(error: urllib.error.HTTPError) -> NotificationError | TransientError:
    if error.code in _MAY_PASS or error.code >= 500:
        after = error.headers.get("Retry-After", "")
        seconds = int(after) if after.isascii() and after.isdecimal() else None
        return TransientError("the webhook answered with an error", status=error.code, retry_after=seconds)
    if 300 <= error.code < 400:
        return NotificationError(
            "the webhook redirects, which is not followed", hint="Configure the new address.", status=error.code
        )
    return NotificationError(
        "the webhook refuses the message", hint="Check its address and credentials.", status=error.code
    )
