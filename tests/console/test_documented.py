"""What docs/console.md shows is run, and what it says of the settings is true."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.consoles import served_lake
from support.waiting import until

from lakehead.config.settings import BY_NAME

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "console.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on the PATH")
def test_the_examples_work(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 5
    with served_lake(tmp_path / "lake") as site:
        failed = (
            site.program().put("/api/v1/datasets/sales/orders/files/wrong.csv", content=b"a\n1\n").json()["execution"]
        )
        until(lambda: (run := site.lake.journal.find(failed)) and not run.running)
        query = site.program().post("/api/v1/queries", json={"sql": "SELECT 1 AS one"}).json()["id"]
        until(lambda: site.program().get(f"/api/v1/queries/{query}").json()["status"] == "SUCCEEDED")
        script = 'set -eu -o pipefail\ncurl() { command curl --silent --show-error --fail-with-body "$@"; echo; }\n'
        script += "\n".join(blocks).replace("http://127.0.0.1:8470", site.url)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "RUN": failed, "QUERY": query}
        done = subprocess.run(
            ["bash", "-c", script], cwd=site.root, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for shown in (
            '"openapi":"3.1.0"',
            '"new":true',
            failed,
            '"execution":',
            '"status":"RUNNING"',
            "one",
            "event: hello",
        ):
            assert shown in done.stdout, shown


def test_the_settings_are_these() -> None:
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    shown = {name: value.strip() for name, value in rows}
    expected = {name: BY_NAME[name].default for name in BY_NAME if name.startswith("console") or name == "upload_bytes"}
    assert set(shown) == set(expected)
    for name, default in expected.items():
        told = (
            str(default).lower() if isinstance(default, bool) else f"{default:,}" if name == "upload_bytes" else default
        )
        assert shown[name] == str(told), name
