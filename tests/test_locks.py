"""A lock between processes: one holds it, others are told so, and nobody has to be there to let it go."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from lakehead.errors import Busy
from lakehead.locks import alone, is_held


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "work.lock"
    assert not is_held(path)
    assert not path.parent.exists(), "to look makes nothing"
    with alone(path, "somebody works", "Wait."):
        assert is_held(path)
        with pytest.raises(Busy, match="somebody works") as caught, alone(path, "somebody works", "Wait.", wait=0.1):
            pass
        assert (caught.value.hint, caught.value.where) == ("Wait.", {"path": str(path)})
    assert not is_held(path)
    with alone(path, "somebody works", "Wait."):
        pass


def test_any_thread_may_let_go(tmp_path: Path) -> None:
    path, mine = tmp_path / "work.lock", ExitStack()
    mine.enter_context(alone(path, "somebody works", "Wait."))
    other = threading.Thread(target=mine.close)
    other.start()
    other.join(60)
    assert not is_held(path)


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "work.lock"
    code = (
        "import sys, time; from pathlib import Path; from lakehead.locks import alone\n"
        "with alone(Path(sys.argv[1]), 'm', 'h'): print('mine', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        assert is_held(path)
        process.kill()
    assert not is_held(path)
