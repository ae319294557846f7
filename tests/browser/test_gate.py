"""The way in and the walls, as a real browser takes them: links on other sites, and what other sites try."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import Console
from support.lakedir import LakeDir
from support.waiting import until

HOSTS = ("localhost", "127.0.0.1")
"""The console is at 127.0.0.1: a page at localhost is another site's, one at another port the same site's."""


@dataclass
class Elsewhere:
    """A web site that is not the console."""

    port: int
    pages: dict[str, str] = field(default_factory=dict)

    def page(self, host: str, html: str) -> str:
        """The address of a page with this content."""
        path = f"/{len(self.pages)}"
        self.pages[path] = f"<!doctype html><title>elsewhere</title>{html}"
        return f"http://{host}:{self.port}{path}"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(found.pages.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Elsewhere(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Page]:
    """A page of a browser that no link has let in."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def fresh_link(console: Console) -> str:
    return LakeDir(console.root).run("console", "link").stdout.strip()


@pytest.mark.parametrize("host", HOSTS)
def test_a_launch_link_on_another_site_lets_in(fresh: Console, elsewhere: Elsewhere, stranger: Page, host: str) -> None:
    stranger.goto(elsewhere.page(host, f'<a href="{fresh_link(fresh)}&next=/runs">open</a>'))
    stranger.get_by_role("link", name="open").click()
    stranger.wait_for_url(f"{fresh.url}/runs")
    expect(stranger.get_by_role("navigation", name="Pages")).to_be_visible()
    assert stranger.evaluate("document.cookie") == ""


@pytest.mark.parametrize("host", HOSTS)
def test_a_link_to_a_page_finds_the_browser_logged_in(fresh: Console, elsewhere: Elsewhere, host: str) -> None:
    page = fresh.context().new_page()
    page.goto(elsewhere.page(host, f'<a href="{fresh.url}/runs?status=FAILED">failed</a>'))
    page.get_by_role("link", name="failed").click()
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    assert page.url == f"{fresh.url}/runs?status=FAILED"


def test_who_has_no_token_is_told_how_to_get_in(fresh: Console, elsewhere: Elsewhere, stranger: Page) -> None:
    stranger.goto(elsewhere.page("localhost", f'<a href="{fresh.url}/runs">runs</a>'))
    stranger.get_by_role("link", name="runs").click()
    expect(stranger.get_by_text("lakehead console link")).to_be_visible()
    stranger.goto(f"{fresh.url}/launch?code=wrong")
    expect(stranger.get_by_text("lakehead console link")).to_be_visible()


def replays(console: Console) -> int:
    with console.lake.open() as lake:
        return lake.journal.count()


@pytest.mark.parametrize("host", HOSTS)
def test_another_site_changes_nothing_and_reads_nothing(fresh: Console, elsewhere: Elsewhere, host: str) -> None:
    """By a browser that is logged in: from another port of the same host it sends even the strict cookie along."""
    fresh.lake.land_text("gate.csv", "order_id,customer_id,product,quantity,price,order_date\n1,C,T,1,1,2025-01-01\n")
    until(lambda: replays(fresh) and not lake_runs(fresh, "RUNNING"))
    before = replays(fresh)
    page = fresh.context().new_page()
    posts = elsewhere.page(
        host,
        f'<form method="post" action="{fresh.url}/api/v1/replays" enctype="text/plain">'
        "<input name='{\"a' value='\":1}'><button>go</button></form>",
    )
    page.goto(posts)
    with page.expect_response(f"{fresh.url}/api/v1/replays") as answer:
        page.get_by_role("button").click()
    assert answer.value.status == 403

    page.goto(elsewhere.page(host, ""))
    for request in (
        f'fetch("{fresh.url}/api/v1/runs", {{credentials: "include"}})',
        f'fetch("{fresh.url}/api/v1/runs", {{credentials: "include", mode: "no-cors"}})',
        f'fetch("{fresh.url}/api/v1/replays", {{credentials: "include", method: "POST", body: "{{}}",'
        ' headers: {"Content-Type": "application/json"}})',
        f'fetch("{fresh.url}/api/v1/datasets/sales/orders/files/x.csv", {{method: "PUT", body: "x"}})',
    ):
        assert page.evaluate(f"{request}.then(() => 'read', () => 'refused')") == "refused"
    loaded = "new Promise((done) => {{ const it = document.createElement('{0}'); it.src = '{1}';"
    loaded += " it.onload = () => done('loaded'); it.onerror = () => done('refused'); document.body.append(it); }})"
    for element, path in (("script", "/api/v1/runs"), ("img", "/static/x/icon.svg"), ("script", "/live")):
        assert page.evaluate(loaded.format(element, fresh.url + path)) == "refused"
    streamed = f"new Promise((done) => {{ const it = new EventSource('{fresh.url}/live', {{withCredentials: true}});"
    streamed += " it.onopen = () => done('opened'); it.onerror = () => { it.close(); done('refused'); }; })"
    assert page.evaluate(streamed) == "refused"
    assert replays(fresh) == before


def lake_runs(console: Console, status: str) -> int:
    with console.lake.open() as lake:
        return lake.count_runs(status)


@pytest.mark.parametrize("host", HOSTS)
def test_another_site_frames_nothing(fresh: Console, elsewhere: Elsewhere, host: str) -> None:
    page = fresh.context().new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.goto(elsewhere.page(host, f'<iframe src="{fresh.url}/runs"></iframe>'))
    # Asking the page something lets its messages come in.
    until(lambda: page.evaluate("true") and any("frame-ancestors" in one for one in told))
    assert all(frame.url != f"{fresh.url}/runs" for frame in page.frames)


def test_a_file_of_another_origin_opens_nothing(fresh: Console, tmp_path: Path) -> None:
    """A page from the disk has the origin null."""
    (tmp_path / "page.html").write_text(
        f'<form method="post" action="{fresh.url}/api/v1/launch-codes"><button>go</button></form>'
    )
    page = fresh.context().new_page()
    page.goto((tmp_path / "page.html").as_uri())
    with page.expect_response(f"{fresh.url}/api/v1/launch-codes") as answer:
        page.get_by_role("button").click()
    assert answer.value.status == 403
