"""Secrets go through real failures of every kind, and are in nothing that is printed, logged or stored."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from lakehead.console.launch import FILE, token_of
from lakehead.examples import write_example

CANARY = "c4n4ry-zeisig"
SECRET = f"{CANARY}/with+odd%20letters"
BROKEN = "no,header,that,fits\n1,2,3,4\n"


def run(root: Path, *words: str, **environment: str) -> str:
    """What a command prints, whatever comes of it."""
    done = subprocess.run(
        [sys.executable, "-m", "lakehead", "--lake", str(root), "--debug", *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "LAKEHEAD_LOG_LEVEL": "debug", **environment},
    )
    assert done.returncode != 70, done.stderr
    return done.stdout + done.stderr


def leaks(root: Path, printed: dict[str, str]) -> list[str]:
    """Where the canary is: in what was printed, or in a file of the lake that is not there to hold it."""
    found = [words for words, text in printed.items() if CANARY in text]
    for path in root.rglob("*"):
        if path.is_file() and path.name not in ("lakehead.toml", FILE) and CANARY.encode() in path.read_bytes():
            found.append(str(path.relative_to(root)))
    return found


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("config", "show"),
    ("doctor",),
    ("ingest",),
    ("notifications", "ls"),
    ("notifications", "ls", "-o", "json"),
    ("notifications", "retry"),
    ("runs", "ls", "-o", "json"),
    ("verify",),
)


def test_addresses_of_notifications(tmp_path: Path, refusing: str) -> None:
    root = tmp_path / "lake"
    write_example("sales", root)
    addresses = {
        "whole": "env:HOOK",
        "refused": f"http://user:${{PART}}@{refusing}/${{PART}}?key=${{PART}}&status=401",
        "failing": f"http://{refusing}/${{PART}}?status=500",
        "redirected": f"http://{refusing}/${{PART}}?status=302",
        "inline": f"http://127.0.0.1:1/{CANARY}?key={CANARY}#{CANARY}",
        "inline-user": f"https://{CANARY}:{CANARY}@127.0.0.1:1/",
        "port": f"http://127.0.0.1:{CANARY}/",
        "mail": f"smtp://me:{CANARY}@127.0.0.1:1/?to=a@example.com&tls=none",
        "mail-wrong": f"smtp://me:{CANARY}@127.0.0.1:1/?to=a@example.com&{CANARY}=a",
        "chat": f"tgram://123456789:{CANARY}/1",
        "json": f"json://user:{CANARY}@{refusing}/{CANARY}?status=500",
        "unknown": f"nothing://{CANARY}/{CANARY}",
        "unset": f"https://${{NOT_SET}}/{CANARY}",
    }
    with (root / "lakehead.toml").open("a", encoding="utf-8") as settings:
        for name, address in addresses.items():
            settings.write(f'\n[[notify]]\nname = "{name}"\nurl = "{address}"\n')
    raw = root / "data/sales-datalake-raw-dev/sales/orders/ingest_date=2025-01-01"
    raw.mkdir(parents=True)
    (raw / "broken.csv").write_text(BROKEN)
    secrets = {"HOOK": f"http://{refusing}/{SECRET}?status=403", "PART": CANARY}
    printed = {" ".join(words): run(root, *words, **secrets) for words in COMMANDS}
    assert "broken.csv" in printed["notifications ls -o json"] and "refused" in printed["notifications ls"]
    assert leaks(root, printed) == []


@pytest.mark.parametrize(
    "wrong",
    [
        f'url = "{CANARY}"',
        f'url = ["{CANARY}"]',
        f'url = "https://host/{CANARY}',
        f"url = https://host/{CANARY}",
        f'url = "https://host/{CANARY}"\nurl = "https://host/{CANARY}"',
        f'url = "https://host/{CANARY}"\non = "https://host/{CANARY}"',
        f'url = "https://host/{CANARY}\\u0007"',
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, wrong: str) -> None:
    root = tmp_path / "lake"
    write_example("sales", root)
    with (root / "lakehead.toml").open("a", encoding="utf-8") as settings:
        settings.write(f'\n[[notify]]\nname = "hook"\n{wrong}\n')
    printed = {"config show": run(root, "config", "show"), "doctor": run(root, "doctor")}
    assert "Error" in printed["config show"]
    assert leaks(root, printed) == []


def test_keys_of_aws(tmp_path: Path, refusing: str) -> None:
    root = tmp_path / "lake"
    write_example("sales", root)
    text = (root / "lakehead.toml").read_text().replace('# endpoint_url = "http://localhost:9000"', "")
    secrets = {
        "AWS_ACCESS_KEY_ID": f"AKIA{CANARY}",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": CANARY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    printed: dict[str, str] = {}
    source = root / "samples/orders-2025-01-01.csv"
    for name, address in {"closed": "http://127.0.0.1:1", "refusing": f"http://{refusing}/status=403"}.items():
        (root / "lakehead.toml").write_text(
            text.replace('storage = "s3"', f'storage = "s3"\nendpoint_url = "{address}"')
        )
        for words in (("doctor",), ("put", str(source)), ("verify",)):
            printed[f"{name} {words[0]}"] = run(root, "--env", "prod", *words, **secrets)
    address = f"http://user:{CANARY}@127.0.0.1:1"
    printed["endpoint"] = run(root, "doctor", LAKEHEAD_ENDPOINT_URL=address)
    printed["flag"] = run(root, "doctor", "--set", f"endpoint_url={address}")
    assert "Error" in printed["closed put"] and "Error" in printed["endpoint"] and "Error" in printed["flag"]
    assert leaks(root, printed) == []


def test_the_token_of_the_console(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    write_example("sales", root)
    state = root / ".lakehead/dev"
    token = token_of(state)
    command = [sys.executable, "-u", "-m", "lakehead", "--lake", str(root), "up", "--console-port", "0"]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert up.stderr is not None
    told = [up.stderr.readline(), up.stderr.readline()]
    address = next(line for line in told if "http://" in line).partition("http://")[2].partition("/")[0].strip()
    for path, headers in (
        ("/api/v1/runs", {"Authorization": f"Bearer {token}"}),
        ("/api/v1/runs", {"Authorization": f"Bearer {token}x"}),
        (f"/api/v1/runs?token={token}", {}),
        (f"/launch?code={token}", {}),
        ("/api/v1/nothing", {"Authorization": f"Bearer {token}"}),
    ):
        ask(f"http://{address}{path}", headers)
    up.terminate()
    out, err = up.communicate(timeout=60)
    assert token not in out + err + "".join(told)
    kept = [path for path in root.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    assert [path.name for path in kept] == [FILE]


def ask(address: str, headers: dict[str, Any]) -> None:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        error.close()
