"""SNS's limits, and addresses that keep their secrets."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakehead.errors import TransientError, UsageError
from lakehead.notify import secret
from lakehead.notify.message import MESSAGE_BYTES, delivery_id, fit_body, fit_subject, message_id

ANY_TEXT = st.text(st.characters(codec=None))


@given(ANY_TEXT)
@example("a\r\nBcc: x\u2028y\x85z")
@example("\udcff" * 200)
def test_a_subject_is_one_short_line(subject: str) -> None:
    fitted = fit_subject(subject)
    assert len(fitted) < 100
    assert len(fitted.splitlines()) <= 1
    fitted.encode()


def test_a_short_subject_stays_and_a_long_one_says_that_it_was_cut() -> None:
    assert fit_subject("sales/orders: 3 rows") == "sales/orders: 3 rows"
    assert fit_subject("x" * 99) == "x" * 99
    assert fit_subject("x" * 100) == "x" * 96 + "..."


@pytest.mark.parametrize("letter", ["x", "ä", "€", "🚢"])
def test_a_body_is_cut_between_letters(letter: str) -> None:
    body = letter * (MESSAGE_BYTES + 1)
    fitted = fit_body(body)
    assert len(fitted.encode()) <= MESSAGE_BYTES
    assert len(fitted.encode()) > MESSAGE_BYTES - 10
    assert fitted.endswith("bytes]")
    assert set(fitted.split("\n")[0]) == {letter}
    exact = "x" * MESSAGE_BYTES
    assert fit_body(exact) == exact


def test_an_empty_body_is_refused() -> None:
    with pytest.raises(UsageError):
        fit_body("\n ")


def test_ids_are_stable() -> None:
    assert message_id("a") == message_id("a") != message_id("b")
    assert delivery_id("m", "s") != delivery_id("m", "t")


def test_variables_are_resolved_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_TOKEN", " T0/B0 ")
    assert secret.resolve("env:HOST_TOKEN") == "T0/B0"
    assert secret.resolve("https://h/${HOST_TOKEN}?a=$b{c}") == "https://h/T0/B0?a=$b{c}"
    monkeypatch.delenv("HOST_TOKEN")
    with pytest.raises(TransientError, match="HOST_TOKEN"):
        secret.resolve("https://h/${HOST_TOKEN}")
    assert secret.missing("https://h/${HOST_TOKEN}") == ["HOST_TOKEN"]


@given(
    st.text("abcdefghijklmnop0123456789@:/%&?=+~-", min_size=6, max_size=30).filter(lambda text: text.strip("/@:?&=+"))
)
def test_a_variable_is_redacted_wherever_it_stands(value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_SECRET", value)
        said = f"could not reach https://host/{value}: {value!r}"
        assert value not in secret.redact(said, "env:A_SECRET")
        assert value not in secret.redact(said, "https://host/${A_SECRET}")


def test_what_is_not_secret_stays() -> None:
    address = "https://me:hunter22@hooks.example.com/services/T000/B111?key=topsecret"
    said = secret.redact(f"{address} answered 500 from hooks.example.com", address)
    assert "hooks.example.com" in said
    for hidden in ("hunter22", "T000", "B111", "topsecret"):
        assert hidden not in said
