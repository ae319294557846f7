"""The walls around a process that runs people's SQL: no privileges, few resources, and only its own files.

They are raised by the process itself, before it looks at the SQL, and cannot be taken down again.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lakehead.errors import QueryError
from lakehead.query import landlock
from lakehead.query.job import Limits, QueryJob

ALLOCATOR = {"MALLOC_ARENA_MAX": "2"}
"""Without it every thread of DuckDB reserves 72 MiB of addresses, and a limit of addresses limits nothing else."""

# Measured with DuckDB 2.0: 263 MiB of addresses after connecting (122 of them Python's), with 8 threads for reading
# beside the working ones. The rest is room for what DuckDB does not count as its own: texts and lists under way.
BESIDE_BYTES = 768 << 20
THREAD_BYTES = 16 << 20
OPEN_FILES = 4096
_NICE = 5
_CPU_SLACK_SECONDS = 10

_KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")
_KEPT_OF_PYTHON = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "VIRTUAL_ENV")
_KEPT_OF_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE")
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache")
_MACHINE = ("/dev/null", "/dev/urandom", "/proc/self/cgroup", "/sys/fs/cgroup", "/sys/devices/system/cpu")
_NETWORK = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf", "/etc/services"),
    *("/etc/ssl", "/etc/pki", "/usr/share/ca-certificates", "/run/systemd/resolve"),
)

_SET_PARENT_DEATH_SIGNAL, _SET_NO_NEW_PRIVILEGES = 1, 38


def environment(variables: Mapping[str, str], *, remote: bool) -> dict[str, str]:
    """The variables that such a process is started with: what finds Python and its libraries, and no secrets."""
    names = {*_KEPT_VARIABLES, *_KEPT_OF_PYTHON}
    if remote:
        names |= {*_KEPT_OF_NETWORK, *map(str.lower, _KEPT_OF_NETWORK)}
    return {name: value for name, value in variables.items() if name in names} | ALLOCATOR


def die_with(parent: int) -> None:
    """Be killed when the thread that started this process ends, however it ends. Exits where it has ended already."""
    if sys.platform == "linux":
        _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def memory_bytes(text: str) -> int:
    """An amount of memory as DuckDB writes it, `512MiB` or `1.5GB`, in bytes."""
    number, unit, binary = re.fullmatch(r"([0-9.]+)\s?([KMGT])(i?)B", text, re.IGNORECASE).groups()  # type: ignore[union-attr]
    return int(float(number) * (1024 if binary else 1000) ** ("KMGT".index(unit.upper()) + 1))


def address_bytes(memory: str, threads: int) -> int:
    """How many bytes of addresses a process may have whose DuckDB may use this memory and these threads."""
    return memory_bytes(memory) + BESIDE_BYTES + threads * THREAD_BYTES


def file_bytes(limits: Limits) -> int:
    """How big a file may get."""
    return limits.answer_bytes + limits.spill_bytes


def confine(job: QueryJob) -> int:
    """Raise the walls around this process. Returns the ABI of Landlock that holds, 0 where the kernel has none.

    Raises QueryError where a wall cannot be raised, or does not hold.
    """
    try:
        os.chdir(job.folder)
        _limit_resources(job)
        if sys.platform == "linux":
            _prctl(_SET_NO_NEW_PRIVILEGES, 1)
        version = landlock.abi()
        if version:
            write = [Path(job.folder), *([Path(job.ground.cache_dir)] if job.ground.remote else ())]
            landlock.restrict(read=_readable(job), write=write, network=job.ground.remote)
            _prove_confined()
    except OSError as error:
        raise QueryError(f"the query was not run, for its process cannot be confined: {error}") from error
    return version


def _limit_resources(job: QueryJob) -> None:
    limits = job.limits
    os.nice(_NICE)
    if sys.platform == "linux":
        # Where the machine runs out of memory all the same, this process goes first.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        _limit(resource.RLIMIT_AS, address_bytes(limits.memory, limits.threads))
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    # DuckDB keeps to its own limit of what it puts aside, and tells that better.
    _limit(resource.RLIMIT_FSIZE, file_bytes(limits))
    # The parent kills long before; this is for the case that it cannot.
    _limit(resource.RLIMIT_CPU, int(limits.seconds * limits.threads) + _CPU_SLACK_SECONDS)


def _limit(kind: int, value: int) -> None:
    _, most = resource.getrlimit(kind)
    bound = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (bound, bound))


def _readable(job: QueryJob) -> Iterator[Path]:
    """The lake's two buckets, its catalog, and where Python and its libraries are."""
    catalog = Path(job.ground.catalog)
    for suffix in ("", "-wal", "-shm"):
        yield catalog.with_name(catalog.name + suffix)
    if not job.ground.remote:
        yield from (Path(job.ground.address) / bucket for bucket in job.ground.buckets)
    # A folder of modules that holds the lake's state, or somebody's home, would open these, too.
    kept = (catalog.resolve(), Path(os.environ.get("HOME", "/")).resolve())
    for path in map(Path, sys.path):
        if not any(place.is_relative_to(path.resolve()) for place in kept):
            yield path
    yield from map(Path, (*_SYSTEM, *_MACHINE, *(_NETWORK if job.ground.remote else ())))


def _prove_confined() -> None:
    """Try what must be refused now."""
    try:
        os.scandir("/").close()
    except PermissionError:
        return
    raise QueryError("the query was not run, for Landlock does not hold: its process could read every file")


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl: {os.strerror(number)}")
