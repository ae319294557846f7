"""E-mail over SMTP."""

from __future__ import annotations

import smtplib
import socket
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import parse_qsl, unquote, urlsplit

from lakehead.errors import LakeheadError, NotificationError, TransientError
from lakehead.notify import secret
from lakehead.notify.message import Message

TLS = ("starttls", "tls", "none")
FORM = "smtp://USER:PASSWORD@HOST:PORT/?to=ADDRESS,ADDRESS&from=ADDRESS&tls=starttls|tls|none"


@dataclass(frozen=True, slots=True)
class MailServer:
    """A server and what is sent through it, as the address says."""

    host: str
    port: int
    user: str
    password: str
    tls: str
    sender: str
    recipients: tuple[str, ...]


def parse_server(address: str) -> MailServer:
    """Read `smtp://` (STARTTLS unless `tls=` says otherwise, port 587) or `smtps://` (TLS, port 465).

    `${NAME}` may stand in any part but host and port. Raises NotificationError saying which part is wrong, and
    TransientError for a variable that is not set.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise NotificationError("the mail address has a wrong port", hint=f"Write it as {FORM}") from error
    options = dict(parse_qsl(parts.query))
    unknown = sorted(set(options) - {"to", "from", "tls"})
    tls = options.get("tls", "tls" if parts.scheme == "smtps" else "starttls")
    # Resolved part by part, after parsing: a password may hold any character.
    recipients = tuple(part.strip() for part in secret.resolve(options.get("to", "")).split(",") if part.strip())
    for wrong, what in (
        (not parts.hostname, "has no host"),
        (not recipients, "has no recipient (to=)"),
        (tls not in TLS, "has an unknown tls="),
        (bool(unknown), f"has an unknown option {', '.join(unknown)}"),
    ):
        if wrong:
            raise NotificationError(f"the mail address {what}", hint=f"Write it as {FORM}")
    return MailServer(
        host=parts.hostname or "",
        port=port or (465 if tls == "tls" else 587),
        user=secret.resolve(unquote(parts.username or "")),
        password=secret.resolve(unquote(parts.password or "")),
        tls=tls,
        sender=secret.resolve(options.get("from", "")) or f"lakehead@{socket.gethostname()}",
        recipients=recipients,
    )


class MailChannel:
    """Sends one e-mail per message. `timeout` (seconds) bounds every wait on the network."""

    def __init__(self, address: str, *, timeout: float) -> None:
        self._server, self._timeout = parse_server(address), timeout

    def send(self, message: Message) -> None:
        """Send one e-mail; the same delivery always carries the same Message-ID."""
        server = self._server
        try:
            with self._connect() as connection:
                if server.user:
                    connection.login(server.user, server.password)
                refused = connection.send_message(self._compose(message), server.sender, server.recipients)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise _explained(error) from error
        if refused:
            # The others have it; sending again would reach them twice.
            codes = ", ".join(str(code) for code, _ in refused.values())
            raise NotificationError(
                f"the server refused {len(refused)} of {len(server.recipients)} recipients", status=codes
            )

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        if server.tls == "tls":
            return smtplib.SMTP_SSL(
                server.host, server.port, timeout=self._timeout, context=ssl.create_default_context()
            )
        connection = smtplib.SMTP(server.host, server.port, timeout=self._timeout)
        if server.tls == "starttls":
            try:
                connection.starttls(context=ssl.create_default_context())
            except BaseException:
                connection.close()
                raise
        return connection

    def _compose(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Message-ID"] = f"<{message.delivery_id}@lakehead.invalid>"
        mail["Date"] = format_datetime(message.time)
        mail["From"] = self._server.sender
        mail["To"] = ", ".join(self._server.recipients)
        mail["Subject"] = message.subject
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        mail.set_content(message.body)
        return mail


def _explained(error: Exception) -> LakeheadError:
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return NotificationError(
            f"the mail server cannot do what the address asks for: {error}",
            hint="For a server without STARTTLS on a network you trust, add tls=none to the address.",
        )
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        return _by_status(min(codes, default=0), "the mail server refuses every recipient")
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _by_status(error.smtp_code, "the mail server refuses the login")
    if isinstance(error, smtplib.SMTPResponseException):
        return _by_status(error.smtp_code, "the mail server refuses the message")
    if isinstance(error, OSError):
        return TransientError(f"the mail server does not answer: {type(error).__name__} {error}")
    return NotificationError(f"the e-mail cannot be written: {error}", hint="Check from= and to= of the address.")


def _by_status(status: int, what: str) -> LakeheadError:
    """5yz is permanent, anything else may pass (RFC 5321, 4.2.1)."""
    kind = NotificationError if 500 <= status < 600 else TransientError
    return kind(what, hint="Check the address and its credentials.", status=status or None)
