"""The machine and the lake, looked at for `lakehead doctor`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from lakehead.config import LakeConfig
from lakehead.errors import LakeheadError
from lakehead.results import DoctorCheck
from lakehead.storage import ObjectStore

LOW_DISK_BYTES = 1 << 30


def health(config: LakeConfig, store: ObjectStore, checks: Sequence[DoctorCheck] = ()) -> list[DoctorCheck]:
    """The machine and the lake, looked at one by one; no look changes anything but a probe object it removes."""
    found = [_versions(), _settings(config), _disk(config)]
    found += [_bucket(store, bucket) for bucket in (config.raw_bucket, config.processed_bucket)]
    return [*found, *checks]


def _versions() -> DoctorCheck:
    import platform
    from importlib.metadata import version

    told = ", ".join(f"{name} {version(name)}" for name in ("lakehead", "duckdb", "sqlglot"))
    return DoctorCheck("versions", True, f"Python {platform.python_version()}, {told}")


def _settings(config: LakeConfig) -> DoctorCheck:
    return DoctorCheck("settings", True, f"{config.file}, environment {config.environment}")


def _disk(config: LakeConfig) -> DoctorCheck:
    free = shutil.disk_usage(config.root).free
    ok = free >= LOW_DISK_BYTES
    hint = "" if ok else "A load stages a file's rows before it commits them: make room."
    return DoctorCheck("disk", ok, f"{free / (1 << 30):.1f} GiB free", hint)


def _bucket(store: ObjectStore, bucket: str) -> DoctorCheck:
    """Whether the bucket can be written, read and cleared: what the store promises is tried, not assumed."""
    probe, data = "_lakehead/doctor", b"lakehead doctor"
    try:
        store.put(bucket, probe, data)
        same = store.get(bucket, probe) == data
        store.delete(bucket, probe)
    except LakeheadError as error:
        return DoctorCheck(f"bucket {bucket}", False, error.message, error.hint)
    return DoctorCheck(f"bucket {bucket}", same, "written and read back" if same else "reads back something else")
