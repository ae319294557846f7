"""What the command-line tests share."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakehead.cli.app import main
from lakehead.examples import write_example


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (exit code, stdout, stderr). Quicker than a process."""

    def called(*command: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(command))
        out, err = capsys.readouterr()
        return code, out, err

    return called


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """A lake as `lakehead init` writes it."""
    root = tmp_path / "lake"
    write_example("sales", root)
    return root


@pytest.fixture
def refusing() -> Iterator[str]:
    """The address of a web server that refuses what it is sent, and says so with all that it was sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(int(self.path.partition("status=")[2][:3] or 500))
            self.send_header("Location", self.path)
            self.end_headers()
            self.wfile.write(f"you sent {self.path} {self.headers}".encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
