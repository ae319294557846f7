"""Runs commands of Lakehead in processes that meet a fault at their n-th system call on a lake's files.

`python -m chaos.zygote` imports everything, then forks for each job: that costs 10 ms where a start costs 500. It reads
a job as a line of JSON and answers with a line of JSON; see `chaos.machine` for both. The child is a process of its own
that runs the command line as it is; the system calls are its real ones, and so is the kill.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import platform
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaos import seccomp
from chaos.ground import cut_power
from chaos.machine import Fault, Hit
from chaos.seccomp import Call, Listener
from chaos.syscalls import CHANGES, TROUBLES

DUMP_SECONDS = 1.0
LOOK_SECONDS = 0.02


class Watch:
    """Counts a child's calls on the files below `root` and gives the fault when its turn comes."""

    def __init__(self, pid: int, root: str, fault: Fault) -> None:
        self.pid, self.fault = pid, fault
        self.count, self.last = 0, 0.0
        self.hit: Hit | None = None
        self._below = root.rstrip("/") + "/"
        self._errno = TROUBLES[fault.kind].errno if fault.kind in TROUBLES else 0

    def take(self, call: Call, listener: Listener) -> None:
        """Decide what becomes of a call."""
        if not call.path.startswith(self._below) or not call.path.endswith(self.fault.suffix):
            return listener.go_on(call)
        self.count += 1
        last = self.fault.at + self.fault.length - 1 if self.fault.length else sys.maxsize
        if not self.fault.at <= self.count <= last:
            return listener.go_on(call)
        if self.hit is None:
            self.hit = Hit(self.count, call.name, call.path.removeprefix(self._below))
        if self.fault.kind == "clock":
            Path(self.fault.image).write_text(self.fault.copy)
            return listener.go_on(call)
        if self._errno:
            return listener.fail(call, self._errno)
        if self.fault.kind == "power":
            cut_power(self.pid, Path(self.fault.image), Path(self.fault.copy))
        os.kill(self.pid, signal.SIGKILL)
        return None


def run(job: dict[str, Any]) -> dict[str, Any]:
    """One job in a child of its own."""
    started = time.monotonic()
    fault = Fault(**job["fault"]) if job.get("fault") else None
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryDirectory(prefix="chaos-", dir=job.get("scratch")) as scratch:
        streams = Path(scratch) / "out", Path(scratch) / "err"
        for stream in streams:
            stream.touch()  # the child may be killed before it does that
        pid = os.fork()
        if not pid:
            _be_child(job, fault, theirs, streams)
        theirs.close()
        watch = Watch(pid, job["root"], fault) if fault else None
        listener = _listener(ours, pid) if fault else None
        kill_at = started + job["kill_after"] if job.get("kill_after") else None
        try:
            status = _attend(pid, watch, listener, started + job["seconds"], kill_at)
        finally:
            if listener:
                listener.close()
        ended = os.waitstatus_to_exitcode(status) if status is not None else None
        return {
            "code": ended,
            "out": streams[0].read_text(errors="replace"),
            "err": streams[1].read_text(errors="replace"),
            "calls": watch.count if watch else 0,
            "hit": asdict(watch.hit) if watch and watch.hit else None,
            "seconds": round(time.monotonic() - started, 3),
        }


def _listener(ours: socket.socket, pid: int) -> Listener | None:
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    return Listener(descriptors[0], pid) if descriptors else None


def _attend(pid: int, watch: Watch | None, listener: Listener | None, end: float, kill_at: float | None) -> int | None:
    """Answer the child's calls until it ends. None where it did not end in time: then its threads' stacks are told."""
    asked = False
    with _alive(pid) as gone:
        while True:
            call = listener.next(LOOK_SECONDS) if listener else None
            if call is not None and listener and watch:
                watch.take(call, listener)
                continue
            if gone(0.0 if listener else LOOK_SECONDS):
                status = os.waitpid(pid, 0)[1]
                return None if asked else status
            now = time.monotonic()
            if kill_at is not None and now > kill_at:
                os.kill(pid, signal.SIGKILL)
            if now > end:
                os.kill(pid, signal.SIGKILL if asked else signal.SIGUSR1)
                asked, end = True, end + DUMP_SECONDS


@contextlib.contextmanager
def _alive(pid: int) -> Iterator[Callable[[float], bool]]:
    """Tells whether the child has ended, after waiting for that for some seconds."""
    descriptor = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        yield lambda seconds: bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def _be_child(job: dict[str, Any], fault: Fault | None, theirs: socket.socket, streams: tuple[Path, Path]) -> None:
    """Become the command, and end as it ends."""
    code = 70
    try:
        for descriptor, path in enumerate((Path(os.devnull), *streams)):
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            os.dup2(opened, descriptor)
            os.close(opened)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
        )
        faulthandler.register(signal.SIGUSR1, all_threads=True, file=2)
        os.environ.update(job.get("variables") or {})
        time.tzset()
        if job.get("cgroup"):
            (Path(job["cgroup"]) / "cgroup.procs").write_text("0")
        if job.get("mutation"):
            importlib.import_module("chaos.mutations").apply(job["mutation"])
        if fault:
            trouble = TROUBLES.get(fault.kind)
            names, reading = (trouble.calls, trouble.reading) if trouble else (CHANGES, False)
            descriptor = seccomp.install(names, reading=reading)
            socket.send_fds(theirs, [b"!"], [descriptor])
            os.close(descriptor)
        theirs.close()
        code = _command(job)
    except BaseException:
        traceback.print_exc()
    finally:
        # As the interpreter would end: it waits for threads, then flushes.
        threading._shutdown()  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _command(job: dict[str, Any]) -> int:
    if job.get("call"):
        module, _, name = job["call"].partition(":")
        return int(getattr(importlib.import_module(module), name)(job["root"], **job["given"]) or 0)
    from lakehead.cli import main

    return main(["--lake", job["root"], *job["command"]])


def warm_up() -> None:
    """Run a small lake once, so that forks find everything imported and compiled."""
    from chaos import scenes

    from lakehead.cli import main

    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        root = Path(folder) / "lake"
        scenes.landed_first(None, root)
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(sys.stdout),
        ):
            for command in (("ingest",), ("query", "SELECT count(*) FROM processed_orders"), ("verify",)):
                main(["--lake", str(root), *command])
        shutil.rmtree(root)
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if left:
        raise RuntimeError(f"a fork would lose these threads: {left}")


def refusal() -> str:
    """Why this machine cannot stop calls; empty where it can."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return "needs Linux on x86-64"
    pid = os.fork()
    if not pid:
        try:
            os.close(seccomp.install(["mkdir"], reading=False))
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return f"seccomp's user notification cannot be used: {os.strerror(code)}" if code else ""


def main() -> None:
    """Answer jobs until the input ends."""
    warm_up()
    answer: dict[str, Any] = {"refusal": refusal()}
    while True:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            return
        answer = run(json.loads(line))


if __name__ == "__main__":
    main()
