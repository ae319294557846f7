"""The way in: codes that work once, the token's file, and the cookie."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import httpx
import pytest
from support.consoles import Site, served_lake

from lakehead.console.launch import CODE_SECONDS, FILE, MAX_CODES, Keys, read_token, token_of
from lakehead.errors import ConfigError


def test_a_link_opens_the_console_once_and_leads_on(site: Site, stranger: httpx.Client) -> None:
    link = site.served.launch_url()
    assert stranger.get("/").status_code == 403
    first = stranger.get(link + "&next=/runs%3Fstatus%3DFAILED")
    assert first.status_code == 200
    assert 'content="0; url=/runs?status=FAILED"' in first.text
    cookie = first.headers["set-cookie"]
    assert cookie.startswith(f"lakehead-{stranger.base_url.port}=") and site.keys.token not in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; ")[1:])
    assert stranger.get("/").status_code == 200

    other = httpx.get(link)
    assert other.status_code == 403 and "set-cookie" not in other.headers
    assert "lakehead console link" in other.text


def test_looking_whether_a_link_leads_somewhere_does_not_use_it(site: Site, stranger: httpx.Client) -> None:
    link = site.served.launch_url()
    looked = [httpx.head(link) for _ in range(2)]
    assert all(answer.status_code == 200 and "set-cookie" not in answer.headers for answer in looked)
    assert stranger.get(link).status_code == 200


def test_a_used_link_leads_on_in_the_browser_that_used_it(site: Site, stranger: httpx.Client) -> None:
    link = site.served.launch_url()
    assert [stranger.get(link).status_code for _ in range(2)] == [200, 200]
    assert httpx.get(link).status_code == 403


@pytest.mark.parametrize("code", ["", "wrong", "%00", "%F0%9F%98%80", "a" * 9000, "%ED%A0%80"])
def test_a_wrong_code_opens_nothing(site: Site, code: str) -> None:
    answer = httpx.get(f"{site.url}/launch?code={code}")
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_a_link_leads_to_no_other_site(site: Site, target: str) -> None:
    answer = httpx.get(site.served.launch_url(), params=None, follow_redirects=False)
    assert answer.status_code == 200
    answer = httpx.get(f"{site.served.launch_url()}&next={httpx.QueryParams({'x': target})['x']}")
    assert 'content="0; url=/' in answer.text and "url=//" not in answer.text and "javascript" not in answer.text
    assert 'href="/' in answer.text and 'href="//' not in answer.text and 'href="/\\' not in answer.text


def test_what_leads_on_cannot_break_out_of_its_page(site: Site) -> None:
    answer = httpx.get(f"{site.served.launch_url()}&next=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script" not in answer.text


def test_a_click_on_another_site_is_led_back_so_that_the_cookie_comes_along(site: Site) -> None:
    """A strict cookie is not sent with the first request; it is with the second, which this page makes."""
    cross = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    first = httpx.get(f"{site.url}/runs?status=FAILED&x=%22", headers=cross)
    assert first.status_code == 200 and 'url=/runs?status=FAILED&amp;x=%22"' in first.text
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
    assert httpx.get(f"{site.url}/runs", headers=own).status_code == 403
    assert 'url=/evil.example/"' in httpx.get(f"{site.url}//evil.example/", headers=cross).text


def test_a_code_ends(tmp_path: Path) -> None:
    now = 0.0
    keys = Keys("t" * 43, 8470, clock=lambda: now)
    fetched, printed, third = keys.new_code(), keys.new_code(None), keys.new_code()
    now = CODE_SECONDS - 1
    assert keys.redeem(fetched) and not keys.redeem(fetched)
    now = CODE_SECONDS * 100
    assert keys.redeem(printed) and not keys.redeem(printed)
    assert not keys.redeem(third)


def test_codes_are_not_kept_without_end_and_are_all_others() -> None:
    keys = Keys("t" * 43, 8470)
    codes = [keys.new_code() for _ in range(MAX_CODES + 1)]
    assert len(set(codes)) == len(codes) and all(len(code) >= 43 for code in codes)
    assert not keys.redeem(codes[0]) and keys.redeem(codes[1]) and keys.redeem(codes[-1])


def test_the_token_is_a_secret_of_its_owner_and_stays(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        token = token_of(tmp_path / "state")
    finally:
        os.umask(old)
    path = tmp_path / "state" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token_of(tmp_path / "state") == token == read_token(tmp_path / "state")
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "short", "x" * 5000, "\n", "ü" * 43])
def test_a_damaged_token_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE
    path.touch(0o600)
    path.write_text(text, encoding="utf-8")
    assert len(token_of(tmp_path)) == 43


def test_a_token_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    first = token_of(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    assert token_of(tmp_path) != first
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_token_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x" * 43)
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="cannot be used"):
        token_of(tmp_path)
    assert (tmp_path / "elsewhere").read_text() == "x" * 43


def test_a_browser_stays_logged_in_over_a_restart_until_the_token_goes(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    with served_lake(root, working=False) as site:
        port, cookie = site.served.port, site.keys.cookie
        assert site.browser().get("/").status_code == 200
    with served_lake(root, working=False, console_port=port) as site:
        known = httpx.Client(cookies={site.keys.cookie_name: cookie}, base_url=site.url)
        assert known.get("/").status_code == 200
    (root / ".lakehead/dev" / FILE).unlink()
    with served_lake(root, working=False, console_port=port) as site:
        assert known.get("/").status_code == 403
    known.close()
