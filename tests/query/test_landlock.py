"""What Landlock leaves to a process: tried by one, for a right that was given up is gone for good."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lakehead.query import landlock

pytestmark = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")

PROBE = """
import json, os, signal, socket, subprocess, sys
from pathlib import Path
from lakehead.query import landlock

root, port, network, version = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True", int(sys.argv[4])
python = [Path(path) for path in sys.path]
if version:
    landlock.abi = lambda: version
read = [root / "read", root / "one.txt", root / "nothing", *python]
landlock.restrict(read=read, write=[root / "mine"], network=network)

def listen():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))

def rename(source, target):
    (root / source).write_text("x")
    (root / source).rename(root / target)

tries = {
    "read": lambda: (root / "read/a.txt").read_text(),
    "list": lambda: os.listdir(root / "read"),
    "read one": lambda: (root / "one.txt").read_text(),
    "write mine": lambda: (root / "mine/b.txt").write_text("b"),
    "folder of mine": lambda: (root / "mine/folder").mkdir(),
    "rename mine": lambda: rename("mine/c.txt", "mine/folder/c.txt"),
    "remove mine": lambda: (root / "mine/b.txt").unlink(),
    "read other": lambda: (root / "other.txt").read_text(),
    "read through a link": lambda: (root / "read/link").read_text(),
    "list other": lambda: os.listdir(root),
    "write read": lambda: (root / "read/a.txt").write_text("b"),
    "truncate read": lambda: os.truncate(root / "read/a.txt", 0),
    "write one": lambda: (root / "one.txt").open("ab"),
    "remove read": lambda: (root / "read/a.txt").unlink(),
    "rename out": lambda: rename("mine/d.txt", "d.txt"),
    "link": lambda: (root / "mine/link").symlink_to("/etc/passwd"),
    "hard link": lambda: os.link(root / "other.txt", root / "mine/hard"),
    "pipe": lambda: os.mkfifo(root / "mine/pipe"),
    "run": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
    "connect": lambda: socket.create_connection(("127.0.0.1", port), 5).close(),
    "listen": listen,
    "signal": lambda: os.kill(os.getppid(), 0),
}

def worked(attempt):
    try:
        attempt()
    except OSError:
        return False
    return True

print(json.dumps([name for name, attempt in tries.items() if worked(attempt)]))
"""

MINE = ["read", "list", "read one", "write mine", "folder of mine", "rename mine", "remove mine"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("read", "mine"):
        (tmp_path / folder).mkdir()
    for file in ("read/a.txt", "one.txt", "other.txt"):
        (tmp_path / file).write_text("a")
    (tmp_path / "read/link").symlink_to(tmp_path / "other.txt")
    return tmp_path


def probe(root: Path, *, network: bool = False, version: int = 0) -> list[str]:
    """What worked, in a process that was restricted; with a `version`, as an older kernel would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = map(str, (root, server.getsockname()[1], network, version))
        done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(landlock.abi() < 6, reason="an older Landlock knows fewer rights")
def test_only_what_was_left_can_be_done(root: Path) -> None:
    assert probe(root) == MINE
    assert (root / "read/a.txt").read_text() == (root / "other.txt").read_text() == "a"
    assert not list((root / "mine").glob("*link*"))


@pytest.mark.skipif(landlock.abi() < 6, reason="an older Landlock knows fewer rights")
def test_the_network_can_be_left(root: Path) -> None:
    assert probe(root, network=True) == [*MINE, "connect", "listen"]


@pytest.mark.parametrize("version", range(1, landlock.abi()))
def test_an_older_kernel_takes_what_it_knows(root: Path, version: int) -> None:
    """Files are safe with each. Renames between folders, truncation, TCP and signals came later."""
    found = set(probe(root, version=version))
    later = {"truncate read"} if version < 3 else set()
    later |= {"connect", "listen"} if version < 4 else set()
    later |= {"signal"} if version < 6 else set()
    missing = {"rename mine"} if version < 2 else set()
    assert found == set(MINE) - missing | later
