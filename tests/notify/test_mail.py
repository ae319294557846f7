"""E-mail against a real SMTP server."""

from __future__ import annotations

import datetime
import email
import email.policy
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from lakehead.errors import NotificationError, TransientError
from lakehead.model import utc_now
from lakehead.notify import Subscription
from lakehead.notify.mail import MailChannel, parse_server
from lakehead.notify.message import Message

MESSAGE = Message("m-1", "topic", "Löaded", "3 rows 🚢\n.\nend", {}, utc_now(), "d-1")


@dataclass
class Mailbox:
    mails: list[Envelope] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: tuple[str, ...] = ()

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, _: Any) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.mails.append(envelope)
        return "250 OK"

    def read(self, number: int) -> EmailMessage:
        content = cast("bytes", self.mails[number].content)
        return email.message_from_bytes(content, policy=email.policy.default)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Mailbox, int]]]:
    running: list[Controller] = []

    def start(**options: Any) -> tuple[Mailbox, int]:
        box = Mailbox()
        with socket.socket() as free:  # the controller connects to the port it was given, so 0 will not do
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        controller = Controller(box, hostname="localhost", port=port, **options)
        controller.start()
        running.append(controller)
        return box, port

    yield start
    for controller in running:
        controller.stop()


def tls_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def check_login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"me@x", b"p@ss:w/rd")
    return AuthResult(success=good, handled=False)


def test_a_plain_mail(serve: Any) -> None:
    box, port = serve()
    address = f"smtp://localhost:{port}/?to=a@example.com,b@example.com&from=lake@example.com&tls=none"
    MailChannel(address, timeout=5).send(MESSAGE)
    assert box.mails[0].rcpt_tos == ["a@example.com", "b@example.com"]
    assert box.mails[0].mail_from == "lake@example.com"
    mail = box.read(0)
    assert mail["Subject"] == "Löaded"
    assert mail["Message-ID"] == "<d-1@lakehead.invalid>"
    assert mail.get_content().replace("\r\n", "\n") == "3 rows 🚢\n.\nend\n"


def test_starttls_and_login(serve: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("MAIL_PASSWORD", "p@ss:w/rd")
    box, port = serve(
        tls_context=tls_context(certificate), require_starttls=True, auth_required=True, authenticator=check_login
    )
    address = f"smtp://me%40x:${{MAIL_PASSWORD}}@localhost:{port}/?to=a@example.com&from=lake@example.com"
    MailChannel(address, timeout=5).send(MESSAGE)
    assert len(box.mails) == 1
    monkeypatch.setenv("MAIL_PASSWORD", "wrong")
    with pytest.raises(NotificationError, match="login") as caught:
        MailChannel(address, timeout=5).send(MESSAGE)
    assert "wrong" not in str(caught.value)
    assert len(box.mails) == 1


def test_tls_from_the_start(serve: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    box, port = serve(ssl_context=tls_context(certificate))
    MailChannel(f"smtps://localhost:{port}/?to=a@example.com&from=l@example.com", timeout=5).send(MESSAGE)
    assert len(box.mails) == 1


def test_a_certificate_that_nobody_vouches_for_gets_nothing(serve: Any, certificate: Path) -> None:
    box, port = serve(tls_context=tls_context(certificate), require_starttls=True)
    with pytest.raises(TransientError, match="CERTIFICATE_VERIFY_FAILED"):
        MailChannel(f"smtp://localhost:{port}/?to=a@example.com", timeout=5).send(MESSAGE)
    assert not box.mails


def test_a_password_never_goes_over_the_wire_in_the_clear(serve: Any) -> None:
    box, port = serve()
    with pytest.raises(NotificationError, match="tls=none"):
        MailChannel(f"smtp://me:secret@localhost:{port}/?to=a@example.com", timeout=5).send(MESSAGE)
    assert not box.mails


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("451 try later", TransientError), ("452 full", TransientError), ("554 spam", NotificationError)],
)
def test_the_servers_answer_decides(serve: Any, answer: str, kind: type[Exception]) -> None:
    box, port = serve()
    box.answers = [answer]
    with pytest.raises(kind):
        MailChannel(f"smtp://localhost:{port}/?to=a@example.com&tls=none", timeout=5).send(MESSAGE)


def test_refused_recipients_are_told(serve: Any) -> None:
    box, port = serve()
    box.refused = ("b@example.com",)
    with pytest.raises(NotificationError, match="1 of 2"):
        MailChannel(f"smtp://localhost:{port}/?to=a@example.com,b@example.com&tls=none", timeout=5).send(MESSAGE)
    assert len(box.mails) == 1
    with pytest.raises(NotificationError, match="every recipient"):
        MailChannel(f"smtp://localhost:{port}/?to=b@example.com&tls=none", timeout=5).send(MESSAGE)


def test_failing_twice_then_fine(serve: Any, make_notifier: Any, clock: Any) -> None:
    box, port = serve()
    box.answers = ["451 no", "421 busy"]
    notifier = make_notifier(Subscription("mail", f"smtp://localhost:{port}/?to=a@example.com&tls=none"))
    message = notifier.publish("topic", "Loaded\r\nBcc: evil@example.com", "3 rows", token="t")
    sent = []
    for _ in range(3):
        sent.append(notifier.deliver_due())
        clock.forward(900)
    assert sent == [0, 0, 1]
    mail = box.read(0)
    assert mail["Subject"] == "Loaded Bcc: evil@example.com"
    assert mail["Bcc"] is None
    assert notifier.feed()[0].message_id == message


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("smtp://localhost/", "recipient"),
        ("smtp:///?to=a@b.c", "host"),
        ("smtp://localhost/?to=a@b.c&tls=maybe", "tls"),
        ("smtp://localhost/?to=a@b.c&too=x", "too"),
        ("smtp://localhost:port/?to=a@b.c", "port"),
    ],
)
def test_a_wrong_address_says_which_part(address: str, part: str) -> None:
    with pytest.raises(NotificationError, match=part):
        parse_server(address)


def test_default_ports() -> None:
    assert parse_server("smtp://h/?to=a@b.c").port == 587
    assert parse_server("smtps://h/?to=a@b.c").port == 465


def test_addresses_that_cannot_be_written_are_no_traceback(serve: Any) -> None:
    _, port = serve()
    with pytest.raises(NotificationError):
        MailChannel(f"smtp://localhost:{port}/?to=a@b.c&from=x%0d%0aBcc:y&tls=none", timeout=5).send(MESSAGE)
