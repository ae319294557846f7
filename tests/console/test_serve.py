"""`lakehead up` with its console, and `lakehead console`, as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from support.consoles import API
from support.waiting import until

from lakehead.console.address import ADDRESS_FILE
from lakehead.console.launch import FILE
from lakehead.examples import write_example

STATE = ".lakehead/dev"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_example("sales", tmp_path / "lake")
    return tmp_path / "lake"


class Up:
    """A running `lakehead up`, its stderr line by line."""

    def __init__(self, root: Path, *options: str, command: tuple[str, ...] = ("-m", "lakehead")) -> None:
        self.root = root
        arguments = [sys.executable, *command, "--lake", str(root), "up", *options]
        self.process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def said(self, pattern: str) -> re.Match[str]:
        """What of stderr matches, once it is there."""

        def look() -> re.Match[str] | None:
            return re.search(pattern, "\n".join(tuple(self.lines)))

        found = until(lambda: look() or self.process.poll() is not None)
        assert isinstance(found, re.Match), self.lines
        return found

    def link(self) -> str:
        return self.said(r"(?m)^Console: (http://\S+)$")[1]

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        code = self.process.wait(20)  # as long as a person waits
        self._reader.join(10)
        return code


@contextmanager
def up(root: Path, *options: str, **more: tuple[str, ...]) -> Iterator[Up]:
    found = Up(root, *options, **more)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.process.kill()
            found.process.wait(60)
        found._reader.join(10)
        assert found.process.stderr is not None
        found.process.stderr.close()


def lakehead(root: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "lakehead", "--lake", str(root), *command]
    return subprocess.run(
        arguments, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def listening(port: int) -> socket.socket:
    """A program that has the port."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with suppress(OSError):  # then another has it already
        found.bind(("127.0.0.1", port))
        found.listen()
    return found


def test_up_prints_a_link_and_console_link_prints_more(root: Path) -> None:
    with up(root, "--console-port", "0") as running:
        link = running.link()
        first = httpx.get(link)
        assert first.status_code == 200 and first.headers["set-cookie"]
        assert httpx.get(link).status_code == 403

        fresh = lakehead(root, "console", "link")
        assert fresh.returncode == 0, fresh.stderr
        assert httpx.get(fresh.stdout.strip()).status_code == 200
        assert httpx.get(fresh.stdout.strip()).status_code == 403

        token = lakehead(root, "console", "token").stdout.strip()
        url = link.partition("/launch")[0]
        assert httpx.get(f"{url}{API}/runs", headers={"Authorization": f"Bearer {token}"}).status_code == 200

        seen = root / "opened"
        opener = root / "browser"
        opener.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
        opener.chmod(0o755)
        opened = lakehead(root, "console", "open", BROWSER=str(opener))
        assert opened.returncode == 0, opened.stderr
        until(lambda: seen.exists() and seen.read_text().startswith(f"{url}/launch?code="))
        assert running.end() == 0
        assert "Stopped." in running.lines
    assert "Traceback" not in "\n".join(running.lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_within_seconds_while_a_page_is_open(root: Path, number: int) -> None:
    with up(root, "--console-port", "0") as running:
        url = running.link().partition("/launch")[0]
        token = lakehead(root, "console", "token").stdout.strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.stream("GET", f"{url}/live", headers=headers, timeout=60) as live:
            lines = live.iter_lines()
            assert next(lines).startswith("id: ")
            assert running.end(number) == 0
            assert [line for line in lines if line.startswith("event")] == ["event: hello"]
    log = root / STATE / "logs" / "lakehead.jsonl"
    assert not log.exists() or '"ERROR"' not in log.read_text()


def test_a_default_port_that_is_taken_is_left_to_who_has_it(root: Path) -> None:
    with listening(8470), up(root) as running:
        port = int(running.said(r"Port 8470 is taken: the console is at (\d+)\.")[1])
        assert 8470 < port <= 8480 and f":{port}/" in running.link()


@pytest.mark.parametrize("how", ["flag", "file"])
def test_a_stated_port_that_is_taken_is_an_error_before_work_begins(root: Path, how: str) -> None:
    with listening(0) as other:
        port = other.getsockname()[1]
        if how == "file":
            settings = root / "lakehead.toml"
            settings.write_text(settings.read_text().replace("[env.dev]", f"[env.dev]\nconsole_port = {port}"))
        done = lakehead(root, "up", *(["--console-port", str(port)] if how == "flag" else []))
    assert done.returncode == 2 and "port is taken" in done.stderr and str(port) in done.stderr
    assert "Watching" not in done.stderr and "Traceback" not in done.stderr


def test_a_host_that_is_not_this_machines_is_an_error(root: Path) -> None:
    done = lakehead(root, "up", "--set", "console_host=192.0.2.1")
    assert done.returncode == 2 and "cannot listen there" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [("--no-console",), ("--set", "console=false")])
def test_without_console(root: Path, options: tuple[str, ...]) -> None:
    with up(root, *options) as running:
        running.said("Watching")
        refused = lakehead(root, "console", "link")
        assert refused.returncode == 2 and "no console runs" in refused.stderr and "lakehead up" in refused.stderr
        assert not (root / STATE / FILE).exists()
        assert running.end() == 0
    assert "Console" not in "\n".join(running.lines)


def test_without_the_extra_up_works_and_says_how_to_get_it(root: Path) -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from lakehead.cli import main; sys.exit(main())"
    with up(root, command=("-c", program)) as running:
        running.said("Watching")
        running.said(re.escape("pip install 'lakehead[console]'"))
        assert running.end() == 0


def test_without_a_token_there_is_no_code(root: Path) -> None:
    with up(root, "--console-port", "0", "--set", "console_token=false") as running:
        link = running.link()
        assert link.endswith("/") and httpx.get(link).status_code == 200
        assert lakehead(root, "console", "link").stdout.strip() == link


def test_two_of_one_lake_do_not_run(root: Path) -> None:
    with up(root, "--console-port", "0") as running:
        running.link()
        second = lakehead(root, "up", "--console-port", "0")
        assert second.returncode == 75 and "another" in second.stderr and "Traceback" not in second.stderr
        assert lakehead(root, "console", "link").returncode == 0


@contextmanager
def thief() -> Iterator[tuple[int, list[str]]]:
    """Another program at a port, and the tokens that it was told."""
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.headers.get("Authorization", ""))
            self.send_response(500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_after_a_crash_whoever_took_the_port_is_told_no_token(root: Path) -> None:
    with up(root, "--console-port", "0") as running:
        running.link()
        running.process.kill()
        running.process.wait(60)
    address = root / STATE / ADDRESS_FILE
    assert address.exists()
    with thief() as (port, told):
        address.write_text(json.dumps({"url": f"http://127.0.0.1:{port}", "token": True}))
        refused = lakehead(root, "console", "link")
        assert refused.returncode == 2 and "no console runs" in refused.stderr and not told
    with up(root, "--console-port", "0") as running:
        running.link()
        assert lakehead(root, "console", "link").returncode == 0


def test_the_token_goes_by_no_proxy(root: Path) -> None:
    with thief() as (port, told), up(root, "--console-port", "0") as running:
        running.link()
        proxy = f"http://127.0.0.1:{port}"
        assert lakehead(root, "console", "link", http_proxy=proxy, HTTP_PROXY=proxy, all_proxy=proxy).returncode == 0
        assert not told


def test_before_a_console_ever_ran(root: Path) -> None:
    for command in ("link", "open", "token"):
        done = lakehead(root, "console", command)
        assert done.returncode == 2 and "lakehead up" in done.stderr, command


def test_a_token_that_was_removed_meanwhile(root: Path) -> None:
    with up(root, "--console-port", "0") as running:
        running.link()
        (root / STATE / FILE).unlink()
        done = lakehead(root, "console", "link")
        assert done.returncode == 2 and "no token yet" in done.stderr
        (root / STATE / FILE).touch(0o600)
        (root / STATE / FILE).write_text("w" * 43)
        done = lakehead(root, "console", "link")
        assert done.returncode == 2 and "does not know the token" in done.stderr


def test_what_a_killed_console_had_received_is_removed_by_a_later_one(root: Path) -> None:
    raw = root / "data/sales-datalake-raw-dev"

    def received() -> list[Path]:
        return [Path(folder, name) for folder, _, names in os.walk(raw) for name in names if name == "half.csv"]

    with up(root, "--console-port", "0") as running:
        port = int(running.link().split(":")[2].split("/")[0])
        token = lakehead(root, "console", "token").stdout.strip()
        with socket.create_connection(("127.0.0.1", port)) as sender:
            place = f"{API}/datasets/sales/orders/files/half.csv"
            head = f"PUT {place} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
            sender.sendall(f"{head}Content-Length: 1000\r\n\r\nhalf".encode())
            until(received)
            running.process.kill()
            running.process.wait(60)
    with up(root, "--console-port", "0") as running:
        running.link()
        assert received() and running.end() == 0
    hour_ago = time.time() - 3700
    for path in (*received(), *(path.parent for path in received())):
        os.utime(path, (hour_ago, hour_ago))
    with up(root, "--console-port", "0") as running:
        running.link()
        assert not received() and running.end() == 0
