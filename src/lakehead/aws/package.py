"""The bundle that the Glue job runs from: a zip of wheels for `--additional-python-modules`, and the entry script.

Glue 5 installs `wheels/requirements.txt` out of `<name>.gluewheels.zip` with `--no-index`, so the zip holds everything
(Developer Guide, "Using Python libraries with AWS Glue"). What is in it is locked with hashes in
`glue-requirements.txt`, and the same lock and code give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lakehead import __version__
from lakehead.errors import ConfigError, StorageUnavailable
from lakehead.storage.etags import sha256_file

PYTHON = "3.11"
"""Glue 5's Python."""
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")
"""What runs on Glue 5 (Amazon Linux 2023, glibc 2.34)."""
SCRIPT_NAME = "lakehead_glue_job.py"
SCRIPT = "from lakehead.aws.glue_job import main\n\nmain()\n"
DOWNLOAD_SECONDS = 600
_EARLIEST = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The two files of a Glue job. `sha256` is that of the zip, which is named by its beginning."""

    wheels: Path
    script: Path
    sha256: str


def build(target: Path) -> Bundle:
    """Write the zip of wheels and the entry script into a folder, which is made where it is missing.

    Raises ConfigError where pip is missing, and StorageUnavailable where a wheel cannot be had.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lakehead-bundle-", dir=target) as folder:
        wheels = Path(folder) / "wheels"
        wheels.mkdir()
        _download(wheels)
        _own_wheel(wheels)
        (wheels / "requirements.txt").write_text(f"lakehead[aws]=={__version__}\n", encoding="utf-8")
        packed = Path(folder) / "bundle.zip"
        _pack(packed, ((f"wheels/{path.name}", path.read_bytes()) for path in sorted(wheels.iterdir())))
        with packed.open("rb") as file:
            digest = sha256_file(file)
        bundle = packed.replace(target / f"lakehead-{__version__}-{digest[:12]}.gluewheels.zip")
    script = target / SCRIPT_NAME
    script.write_text(SCRIPT, encoding="utf-8")
    return Bundle(bundle, script, digest)


def _download(folder: Path) -> None:
    """The locked wheels, as Glue's Python and platform need them."""
    lock = Path(__file__).with_name("glue-requirements.txt")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--python-version", PYTHON]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    command += ["--dest", str(folder), "-r", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
    if done.returncode == 0:
        return
    if "No module named pip" in done.stderr:
        raise ConfigError("packaging needs pip", hint=f"{sys.executable} -m ensurepip")
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
    raise StorageUnavailable(
        f"the wheels could not be downloaded: {errors[-1] if errors else 'pip failed'}",
        hint="Check the connection to the package index, then try again.",
    )


def _own_wheel(folder: Path) -> None:
    """This installation's own code as a wheel (PyPA, "Binary distribution format")."""
    root = Path(__file__).parents[1]
    metadata = importlib.metadata.distribution("lakehead").read_text("METADATA") or ""
    info = f"lakehead-{__version__}.dist-info"
    members = {path.relative_to(root.parent).as_posix(): path.read_bytes() for path in own_files(root)}
    tags = "Wheel-Version: 1.0\nGenerator: lakehead\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members |= {f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": tags.encode()}
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    _pack(folder / f"lakehead-{__version__}-py3-none-any.whl", members.items())


def own_files(root: Path) -> list[Path]:
    """The files of this package, below `root`, that a bundle is made from, the lock of the other wheels among them."""
    # The Terraform module is in an installed wheel only, and no job needs it: the same bytes from a checkout.
    found = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path for path in found if path.relative_to(root).parts[0] != "infra")


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _pack(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """A zip in which nothing tells when and where it was made. Wheels are compressed already, code is small."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for name, data in members:
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, data)
