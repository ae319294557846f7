"""State, logs and what waits in the folder of temporary files are their owner's alone, whatever the umask."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from lakehead.config import load_config
from lakehead.contract import load_contracts
from lakehead.errors import ConfigError, LakeheadError, StorageUnavailable
from lakehead.etl.base import JobOutcome, JobRequest
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.etl.jobs import run_jobs
from lakehead.examples import write_example
from lakehead.lake import Lake
from lakehead.model import ObjectVersion
from lakehead.private import make_folder, own_file, own_folder, own_state
from lakehead.storage import LocalStore, S3Store
from lakehead.storage.base import Move


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(paths: Iterable[Path], forbidden: int) -> dict[str, str]:
    return {str(path): oct(mode(path)) for path in paths if mode(path) & forbidden}


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
    folders = [path for path in state.rglob("*") if path.is_dir()]
    assert folders and open_to_others(folders, 0o077) == {}
    data = list((root / "data").rglob("*"))
    objects = [path for path in data if path.is_file() and ".lakehead" not in path.parts]
    assert objects and {mode(path) for path in objects} == {0o644 & ~umask}
    own = [path for path in data if path.is_dir() and path.name != "staging"]
    assert {path.parent.name for path in own} >= {"data", ".lakehead", "orders"}
    assert {mode(path) for path in own} == {0o755 & ~umask}
    staging = [path for path in data if path.name == "staging"]
    assert staging and {mode(path) for path in staging} == {0o700}
    assert open_to_others([root / "data", *data], 0o022) == {}


@pytest.mark.parametrize("engine", [DuckDBEngine, partial(DuckDBEngine, fast=False)], ids=["together", "alone"])
def test_what_is_staged_is_private(
    tmp_path: Path, umask: int, engine: Callable[[], DuckDBEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can write there could put other rows in the place of those that were judged."""
    seen: dict[str, str] = {}
    moved = LocalStore.move_files

    def look(store: LocalStore, bucket: str, moves: Sequence[Move]) -> Sequence[LakeheadError | None]:
        staging = store.root / bucket / ".lakehead/staging"
        folders = [path for path in staging.rglob("*") if path.is_dir()]
        assert any("order_date=" in path.name for path in folders)
        seen.update({str(path): oct(mode(path)) for path in (staging, *folders)})
        return moved(store, bucket, moves)

    monkeypatch.setattr(LocalStore, "move_files", look)
    write_example("sales", tmp_path / "lake")
    contract = load_contracts(tmp_path / "lake/contracts")["sales/orders"]
    store = LocalStore(tmp_path / "lake/data")
    requests = []
    for bucket in ("raw", "processed"):
        store.create_bucket(bucket)
    for sample in sorted((tmp_path / "lake/samples").glob("*.csv"))[:2]:
        store.put("raw", f"sales/orders/{sample.name}", sample.read_bytes())
        source = ObjectVersion("raw", f"sales/orders/{sample.name}")
        requests.append(JobRequest("sales/orders", source, execution=sample.stem, attempt=sample.stem))
    with contextlib.closing(engine()) as running:
        outcomes = run_jobs(
            requests, contract=contract, engine=running, raw=store, processed=store, processed_bucket="processed"
        )
    assert len(requests) == 2 and all(isinstance(one, JobOutcome) for one in outcomes), outcomes
    assert seen and set(seen.values()) == {"0o700"}


def test_folders_of_a_bucket_that_were_open_to_others_are_closed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create_bucket("b")
    staging, temporary = tmp_path / "b/.lakehead/staging", tmp_path / "b/.lakehead/tmp"
    for folder in (staging.parent, staging, temporary):
        folder.mkdir()
        folder.chmod(0o777)
    assert mode(store.staging_dir("b", "attempt")) == mode(staging) == 0o700
    store.put("b", "key", b"")
    assert mode(staging.parent) == mode(temporary) == 0o755


def test_a_lake_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    shared, file = tmp_path / ".lakehead", tmp_path / ".lakehead/dev/x.db"
    file.parent.mkdir(parents=True)
    for folder in (shared, file.parent):
        folder.chmod(0o755)
    file.write_text("kept")
    file.chmod(0o644)
    own_state(file.parent)
    own_file(file)
    assert (mode(shared), mode(file.parent), mode(file), file.read_text()) == (0o700, 0o700, 0o600, "kept")


def test_folders_above_are_made_private_and_others_are_left_alone(tmp_path: Path, umask: int) -> None:
    tmp_path.chmod(0o755)
    own_folder(tmp_path / "one/two")
    make_folder(tmp_path / "three/four")
    assert mode(tmp_path) == 0o755
    assert {mode(path) for path in tmp_path.rglob("*")} == {0o700}


@pytest.mark.parametrize("link", [".lakehead", ".lakehead/dev"])
def test_state_may_lie_on_another_disk(tmp_path: Path, link: str) -> None:
    elsewhere, state = tmp_path / "elsewhere", tmp_path / ".lakehead/dev"
    elsewhere.mkdir()
    elsewhere.chmod(0o755)
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(elsewhere)
    own_state(state)
    assert state.is_dir() and mode(elsewhere) == mode(state) == 0o700


def test_a_link_to_a_disk_that_is_not_mounted_says_so(tmp_path: Path) -> None:
    (tmp_path / ".lakehead").mkdir()
    (tmp_path / ".lakehead/dev").symlink_to(tmp_path / "absent")
    with pytest.raises(ConfigError, match="leads nowhere") as caught:
        own_state(tmp_path / ".lakehead/dev")
    assert "mounted" in caught.value.hint
    assert not (tmp_path / "absent").exists()


def test_a_link_is_no_private_folder(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigError, match="symbolic link") as caught:
        own_folder(tmp_path / "state")
    assert caught.value.hint


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link to a file").symlink_to("file")
    acts = [partial(own_folder, tmp_path / "link to a file", links=True)]
    acts += [partial(act, tmp_path / name) for act in (own_folder, make_folder) for name in ("file", "file/below")]
    for act in acts:
        with pytest.raises(ConfigError) as caught:
            act()
        assert caught.value.hint and "file" in caught.value.where["path"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.parametrize("linked", [False, True])
def test_the_state_of_another_user_is_refused_and_not_to_be_deleted(tmp_path: Path, linked: bool) -> None:
    """It may be the journal of a lake that they run."""
    theirs = tmp_path / ("theirs" if linked else ".lakehead/dev")
    theirs.mkdir(parents=True)
    os.chown(theirs, 65534, 65534)
    if linked:
        (tmp_path / ".lakehead").mkdir()
        (tmp_path / ".lakehead/dev").symlink_to(theirs)
    with pytest.raises(ConfigError, match="another user") as caught:
        own_state(tmp_path / ".lakehead/dev")
    assert "owner" in caught.value.hint and "emove" not in caught.value.hint
    assert caught.value.where["path"] == str(theirs)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StorageUnavailable),
        (errno.EIO, StorageUnavailable),
        (errno.EROFS, StorageUnavailable),
        (errno.EACCES, ConfigError),
    ],
)
def test_what_the_disk_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[LakeheadError]
) -> None:
    """A full disk may have room later, so a workflow must be able to tell that a retry can help."""
    write_example("sales", tmp_path / "lake")
    config = load_config(tmp_path / "lake")

    def refuse(path: Path, **_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    staging = partial(S3Store(staging=tmp_path / "staging").staging_dir, "bucket", "attempt")
    for act in (partial(Lake.open, config), partial(own_folder, tmp_path / "new"), staging):
        with pytest.raises(expected) as caught:
            act()
        assert caught.value.hint and caught.value.where["path"]


def test_staging_on_this_machine_begins_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier try left and cannot be removed must not be taken for what this one wrote."""
    store = S3Store(staging=tmp_path / "staging")
    (store.staging_dir("bucket", "attempt") / "left").touch()
    assert list(store.staging_dir("bucket", "attempt").iterdir()) == []
    (store.staging_dir("bucket", "attempt") / "left").touch()

    def refuse(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(StorageUnavailable):
        store.staging_dir("bucket", "attempt")


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
