"""A lake of real sales: UCI Online Retail under the retail example's contract."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from lakehead.config import load_config
from lakehead.lake import Lake

RAW = "data/sales-datalake-raw-dev/sales/orders"
FILES, READ, COMMITTED, QUARANTINED = 305, 541_909, 406_829, 135_080
REVENUE = Decimal("8300065.814")


@dataclass(frozen=True)
class LakeDir:
    """A lake's folder, with the few things that the tests do to it."""

    root: Path

    @contextmanager
    def open(self) -> Iterator[Lake]:
        with Lake.open(load_config(self.root, env="dev")) as lake:
            yield lake

    def land(self, source: Path, *, day: str | None = None) -> Path:
        """Land one file as another program would: written aside, then renamed into the raw zone."""
        folder = self.root / RAW / f"ingest_date={day or source.stem}"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / source.name
        aside = folder / f".{source.name}.part"
        shutil.copyfile(source, aside)
        return aside.rename(target)

    def land_text(self, name: str, text: str, *, day: str = "2025-01-01") -> Path:
        folder = self.root / RAW / f"ingest_date={day}"
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".{name}.part"
        aside.write_text(text, encoding="utf-8", newline="")
        return aside.rename(folder / name)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "lakehead", "--lake", str(self.root), *command],
            capture_output=True,
            text=True,
            timeout=300,
        )
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def start_up(self, *more: str) -> subprocess.Popen[bytes]:
        with (self.root / "up.stderr").open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "lakehead", "--lake", str(self.root), "up", *more],
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )


def rows(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    return list(lake.query(sql).rows)


def totals(lake: Lake) -> dict[str, Any]:
    """What the lake holds, asked by SQL: it must be the same after every mishap."""
    ((committed, revenue),) = rows(lake, "SELECT count(*), sum(total_amount) FROM processed_orders")
    ((quarantined,),) = rows(lake, "SELECT count(*) FROM quarantine_orders")
    return {"committed": committed, "revenue": revenue, "quarantined": quarantined}


EXPECTED = {"committed": COMMITTED, "revenue": REVENUE, "quarantined": QUARANTINED}
