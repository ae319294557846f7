"""State, logs and what waits in the folder of temporary files are their owner's alone, whatever the umask."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehead.errors import ConfigError
from lakehead.examples import write_example
from lakehead.private import own_file, own_folder
from lakehead.storage import S3Store


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_all_state_is_private_and_objects_are_shared_as_the_umask_says(tmp_path: Path, umask: int) -> None:
    root = tmp_path / "lake"
    write_example("sales", root)
    run = [sys.executable, "-m", "lakehead", "--lake", str(root)]
    for words in (["ingest", str(root / "samples/orders-2025-01-01.csv")], ["verify"], ["query", "SELECT 1"]):
        done = subprocess.run([*run, *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    state = root / ".lakehead"
    assert mode(state) == mode(state / "dev") == 0o700
    files = [path for path in state.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert {path.name for path in files} >= {
        "workflow.db", "events.db", "catalog.db", "notify.db", "proofs.db", "lakehead.jsonl",
    }  # fmt: skip
    assert {path.name: oct(mode(path)) for path in files if mode(path) != 0o600} == {}
    objects = [path for path in (root / "data").rglob("*") if path.is_file() and ".lakehead" not in path.parts]
    assert objects and {mode(path) for path in objects} == {0o644 & ~umask}


def test_a_lake_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    folder, file = tmp_path / "state", tmp_path / "state" / "x.db"
    folder.mkdir(mode=0o755)
    file.write_text("kept")
    file.chmod(0o644)
    own_folder(folder)
    own_file(file)
    assert (mode(folder), mode(file), file.read_text()) == (0o700, 0o600, "kept")


def test_a_link_is_no_private_folder(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigError) as caught:
        own_folder(tmp_path / "state")
    assert caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_what_another_user_prepared_in_the_temporary_folder_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who owns the folder could read what is staged, or put other rows in its place."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tmp_path.chmod(0o1777)
    prepared = tmp_path / f"lakehead-staging-{os.getuid()}"
    prepared.mkdir()
    os.chown(prepared, 65534, 65534)
    with pytest.raises(ConfigError):
        S3Store().staging_dir("bucket", "attempt")
    prepared.rmdir()
    made = S3Store().staging_dir("bucket", "attempt")
    assert mode(made) == mode(prepared) == 0o700
