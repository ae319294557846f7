"""Stops a process at chosen system calls and decides what becomes of each: seccomp's user notification (seccomp(2)).

A stopped call has had no effect yet. It goes on, fails with an error number, or its process dies there by SIGKILL. All
other calls run at full speed, and threads count together, in the order in which the kernel reports them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chaos.syscalls import AT_FDCWD, BY_NUMBER, SHAPES, WRITING, Shape

_ARCH = 0xC000003E  # AUDIT_ARCH_X86_64
_PR_SET_NO_NEW_PRIVS, _SECCOMP, _MODE_FILTER, _NEW_LISTENER = 38, 317, 1, 1 << 3
_RECV, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND
_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_LOAD, _EQUAL, _SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_NR, _ARCH_AT, _ARGS = 0, 4, 16
_NOTIF = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")


@dataclass(frozen=True, slots=True)
class Call:
    """One stopped call: its file as an absolute path, empty where there is none."""

    id: int
    name: str
    path: str


def install(calls: Iterable[str], *, reading: bool) -> int:
    """Put this process, and every thread it makes, under a filter. Returns the listener's descriptor.

    `reading`: opens that only read are stopped too.
    """
    names = set(calls)
    program = _program([shape for shape in SHAPES if shape.name in names], reading)
    blob = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(program), ctypes.addressof(blob)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs is refused")
    listener = libc.syscall(_SECCOMP, _MODE_FILTER, _NEW_LISTENER, header)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp's user notification is refused")
    return int(listener)


def _program(shapes: list[Shape], reading: bool) -> list[tuple[int, int, int, int]]:
    """BPF: these calls are reported, all others go on. An open is looked at by its flags."""
    steps = [(_LOAD, 0, 0, _ARCH_AT), (_EQUAL, 1, 0, _ARCH), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _NR)]
    for shape in shapes:
        if shape.flags is None or reading:
            steps += [(_EQUAL, 0, 1, shape.number), (_RETURN, 0, 0, _NOTIFY)]
        else:
            flags = _ARGS + 8 * shape.flags
            steps += [(_EQUAL, 0, 4, shape.number), (_LOAD, 0, 0, flags), (_SET, 0, 1, WRITING)]
            steps += [(_RETURN, 0, 0, _NOTIFY), (_RETURN, 0, 0, _ALLOW)]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


class Listener:
    """The other end of a filter: tells stopped calls one by one."""

    def __init__(self, descriptor: int, pid: int) -> None:
        self.descriptor, self._pid = descriptor, pid
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def close(self) -> None:
        """Let go. Calls that are still stopped fail with ENOSYS."""
        os.close(self.descriptor)
        os.close(self._memory)

    def next(self, seconds: float) -> Call | None:
        """The next stopped call; None where none comes in time, or the process is ending."""
        if not any(event & select.POLLIN for _, event in self._poll.poll(seconds * 1000)):
            return None
        buffer = bytearray(_NOTIF.size)
        try:
            fcntl.ioctl(self.descriptor, _RECV, buffer)
        except OSError:  # the thread died between poll and here
            return None
        identity, _, _, number, _, _, *arguments = _NOTIF.unpack(buffer)
        shape = BY_NUMBER[number]
        return Call(identity, shape.name, self._path(shape, arguments))

    def go_on(self, call: Call) -> None:
        """Let the call happen."""
        self._answer(_RESPONSE.pack(call.id, 0, 0, _CONTINUE))

    def fail(self, call: Call, errno: int) -> None:
        """Let the call fail; it does nothing."""
        self._answer(_RESPONSE.pack(call.id, 0, -errno, 0))

    def _answer(self, response: bytes) -> None:
        try:
            fcntl.ioctl(self.descriptor, _SEND, bytearray(response))
        except OSError:  # the thread has died or was interrupted, so nobody waits for the answer
            return

    def _path(self, shape: Shape, arguments: list[int]) -> str:
        try:
            if shape.path is None:
                return "" if shape.descriptor is None else self._of_descriptor(arguments[shape.descriptor])
            path = self._text(arguments[shape.path])
            if path.startswith("/"):
                return path
            folder = AT_FDCWD if shape.descriptor is None else arguments[shape.descriptor]
            return f"{self._of_descriptor(folder)}/{path}" if path else self._of_descriptor(folder)
        except OSError:
            return ""

    def _of_descriptor(self, value: int) -> str:
        number = ctypes.c_int32(value & 0xFFFFFFFF).value
        if number == AT_FDCWD:
            return str(Path(f"/proc/{self._pid}/cwd").readlink())
        return str(Path(f"/proc/{self._pid}/fd/{number}").readlink())

    def _text(self, address: int) -> str:
        # A path may end right before a page that cannot be read.
        found = b""
        while b"\0" not in found and len(found) < 4096:
            found += os.pread(self._memory, 256 - (address + len(found)) % 256, address + len(found))
        return os.fsdecode(found.partition(b"\0")[0])
