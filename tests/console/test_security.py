"""The gate: no route answers another site, a foreign host, or somebody without the token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from support.consoles import Site, served_lake

from lakehead.config import load_config
from lakehead.console.security import HEADERS, allowed_hosts, is_public, own_path
from lakehead.errors import ConfigError

EVIL = "http://evil.example"


def places(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Every method and path of the application, whatever it is, with something in place of its parameters."""
    for route in routes:
        assert isinstance(route, Route), f"{route} is of a kind that this test does not look into"
        path = re.sub(r"\{(\w+)(:\w+)?\}", "x", route.path)
        for method in sorted(route.methods or ()):
            yield method, path


@pytest.fixture(scope="session")
def every_place(site: Site) -> list[tuple[str, str]]:
    app = site.served.app
    assert isinstance(app, Starlette)
    found = list(places(app.routes))
    assert len(found) > 30 and ("POST", "/api/v1/replays") in found and ("GET", "/live") in found
    return found


def test_every_route_but_the_few_public_ones_wants_a_token(
    every_place: list[tuple[str, str]], stranger: httpx.Client
) -> None:
    public = set()
    for method, path in every_place:
        answer = stranger.request(
            method, path, headers={"Sec-Fetch-Site": "same-origin", "Origin": str(stranger.base_url)}
        )
        if is_public(path):
            public.add(path)
            continue
        assert answer.status_code in (401, 403), (method, path)
        assert "sales" not in answer.text, (method, path)
    assert public == {"/launch", "/api/v1/health", "/static/x/x"}


@pytest.mark.parametrize("wrong", [b"Bearer wrong", b"Bearer", b"Basic YTpi", "Bearer \u00e9".encode(), b"Bearer \xff"])
def test_a_wrong_token_opens_nothing(site: Site, wrong: bytes) -> None:
    answer = httpx.get(f"{site.url}/api/v1/runs", headers={b"Authorization": wrong})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "Unauthorized" and answer.headers["www-authenticate"] == "Bearer"


def test_a_wrong_cookie_opens_nothing(site: Site) -> None:
    for value in ("wrong", "", site.keys.token, '"', "a=b; c"):
        answer = httpx.get(f"{site.url}/", headers={"Cookie": f"{site.keys.cookie_name}={value}"})
        assert answer.status_code == 403 and "lakehead console link" in answer.text


@pytest.mark.parametrize("others", ['a="; {}', "{}; b=[]", "=; ;;; {}; ==", "{}; c=\\", "lakehead-1=x; {}"])
def test_cookies_of_other_programs_do_not_lock_out(site: Site, others: str) -> None:
    """Browsers send one host's cookies to all of its ports, odd ones too, and several of one name."""
    own = f"{site.keys.cookie_name}={site.keys.cookie}"
    for value in (own, f"{site.keys.cookie_name}=other; {own}", f"{own}; {site.keys.cookie_name}=other"):
        assert httpx.get(f"{site.url}/", headers={"Cookie": others.format(value)}).status_code == 200


def test_no_route_answers_a_foreign_host(every_place: list[tuple[str, str]], program: httpx.Client, site: Site) -> None:
    port = program.base_url.port
    for host in (f"evil.example:{port}", "evil.example", f"localhost.evil.example:{port}", "localhost:1", "", "[::1"):
        for method, path in every_place:
            answer = program.request(method, path, headers={"Host": host})
            # The server itself refuses some of what is no host at all.
            assert answer.status_code in (400, 421), (host, method, path)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machines_names_are_answered(program: httpx.Client, host: str) -> None:
    assert program.get("/", headers={"Host": f"{host}:{program.base_url.port}"}).status_code == 200


CROSS = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://127.0.0.1"},
    {},
]


def test_no_route_takes_a_change_from_another_site(
    every_place: list[tuple[str, str]], site: Site, stranger: httpx.Client
) -> None:
    """With the cookie: a browser would send it along from another port of the same host."""
    cookie = {"Cookie": f"{site.keys.cookie_name}={site.keys.cookie}"}
    before = len(site.lake.runs(limit=500))
    for headers in CROSS:
        for method, path in every_place:
            if method in ("GET", "HEAD"):
                continue
            answer = stranger.request(method, path, headers={**headers, **cookie})
            assert answer.status_code == 403, (headers, method, path)
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = stranger.request(method, "/", headers={"Origin": EVIL, **cookie})
        assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers
    assert len(site.lake.runs(limit=500)) == before


def test_a_change_by_the_consoles_own_page_or_by_a_program_is_taken(
    browser: httpx.Client, program: httpx.Client
) -> None:
    for client in (browser, program):
        assert client.post("/api/v1/runs/nothing/redrive").status_code == 404


def test_a_bearer_from_another_site_is_refused_all_the_same(program: httpx.Client) -> None:
    assert program.post("/api/v1/runs/nothing/redrive", headers={"Origin": EVIL}).status_code == 403


def test_another_site_cannot_load_from_here(browser: httpx.Client, every_place: list[tuple[str, str]]) -> None:
    for method, path in every_place:
        if method == "GET":
            answer = browser.get(path, headers={"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"})
            assert answer.status_code == 403, path


def test_every_answer_has_the_headers(every_place: list[tuple[str, str]], program: httpx.Client) -> None:
    asked = [("GET", "/nowhere"), ("DELETE", "/"), ("GET", "/launch?code=no"), ("POST", "/api/v1/queries")]
    for method, path in [*every_place, *asked]:
        with program.stream(method, path) as answer:
            for name, value in HEADERS.items():
                assert answer.headers[name] == value, (method, path, name)
            assert answer.headers["cache-control"] in ("no-store", "no-cache") or path.startswith("/static/")
            assert "server" not in answer.headers


def test_every_refusal_has_the_headers(every_place: list[tuple[str, str]], stranger: httpx.Client) -> None:
    for refused in ({}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        for method, path in every_place:
            if is_public(path) and "Host" not in refused:
                continue
            answer = stranger.request(method, path, headers=refused)
            assert answer.status_code in (401, 403, 421)
            assert HEADERS.items() <= {name: answer.headers.get(name) for name in HEADERS}.items(), (method, path)


def test_the_policy_allows_no_inline_script_and_no_other_site() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy


def test_a_fault_is_told_without_its_traceback(tmp_path: Path) -> None:
    with served_lake(tmp_path / "lake", working=False) as site:

        def fail(_: object) -> None:
            raise RuntimeError("the secret is 42")

        site.served.app.router.routes.append(Route("/api/v1/fails", fail))
        program = site.program()
        answer = program.get("/api/v1/fails")
        assert answer.status_code == 500 and "secret" not in answer.text and "Traceback" not in answer.text
        fault = answer.json()["error"]["where"]["fault"]
        assert re.fullmatch("[0-9a-f]{12}", fault)
        assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


def test_without_a_token_whoever_reaches_it_is_let_in_but_no_other_site(tmp_path: Path) -> None:
    with served_lake(tmp_path / "lake", working=False, console_token="false") as site:
        anyone = site.client()
        assert anyone.get("/").status_code == 200 and anyone.get("/api/v1/runs").json()["runs"] == []
        assert site.served.launch_url() == f"{site.url}/"
        assert anyone.post("/api/v1/runs/x/redrive").status_code == 403
        assert anyone.post("/api/v1/runs/x/redrive", headers={"Origin": EVIL}).status_code == 403
        own = {"Origin": site.url, "Sec-Fetch-Site": "same-origin"}
        assert anyone.post("/api/v1/runs/x/redrive", headers=own).status_code == 404
        assert anyone.get("/", headers={"Host": "evil.example"}).status_code == 421


def test_without_a_token_it_listens_to_this_machine_only(tmp_path: Path) -> None:
    (tmp_path / "lakehead.toml").write_text('[lake]\nname = "sales"\n[env.dev]\nconsole_token = false\n')
    load_config(tmp_path)
    for host in ("0.0.0.0", "192.168.1.7", "lake.example.com", "::"):
        with pytest.raises(ConfigError, match="lets everybody in"):
            load_config(tmp_path, overrides={"console_host": host})
        load_config(tmp_path, overrides={"console_host": host, "console": "false"})


def test_hosts_that_are_allowed() -> None:
    assert allowed_hosts("127.0.0.1", 8470) == {"127.0.0.1:8470", "localhost:8470", "[::1]:8470"}
    assert "0.0.0.0:8470" not in allowed_hosts("0.0.0.0", 8470)
    assert "[fd00::1]:80" in allowed_hosts("fd00::1", 80) and "localhost" in allowed_hosts("::1", 80)
    assert {"lake.example.com", "a:8443"} <= allowed_hosts("127.0.0.1", 8470, "lake.example.com,a:8443")


def test_a_proxys_name_is_answered_when_it_is_named(tmp_path: Path) -> None:
    with served_lake(tmp_path / "lake", working=False, console_hosts="lake.example.com, other.example:8443") as site:
        program = site.program()
        for host, status in (
            ("lake.example.com", 200),
            ("LAKE.example.com:443", 200),
            ("other.example:8443", 200),
            ("other.example", 421),
            ("other.example:1", 421),
        ):
            assert program.get("/", headers={"Host": host}).status_code == status, host
        change = {"Host": "lake.example.com", "Origin": "https://lake.example.com", "Sec-Fetch-Site": "same-origin"}
        assert program.post("/api/v1/runs/x/redrive", headers=change).status_code == 404


@given(st.text(alphabet=st.sampled_from("/\\a.:@?#%\t\n \u202e"), max_size=12) | st.text(max_size=12))
def test_no_target_leads_to_another_site(target: str) -> None:
    found = own_path(target)
    assert found.startswith("/") and not found.startswith(("//", "/\\")) and found.isprintable()
