"""Lakes for whole trips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.lakedir import LakeDir

from lakehead.examples import write_example


@pytest.fixture
def lake_dir(tmp_path: Path) -> Callable[[str], LakeDir]:
    def make(example: str) -> LakeDir:
        root = tmp_path / "lake"
        write_example(example, root)
        return LakeDir(root)

    return make
