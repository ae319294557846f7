"""The lakes that come with Lakehead, as files that `lakehead init` writes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

from lakehead.errors import UsageError

DEFAULT = "sales"
SHARED = ("queries", "workflow")
"""Folders that an example without its own takes from the default one: one workflow document serves every lake."""


def names() -> list[str]:
    """The examples there are."""
    with as_file(files(__name__)) as folder:
        return sorted(entry.name for entry in folder.iterdir() if (entry / "lakehead.toml").is_file())


def write_example(name: str, target: Path) -> list[Path]:
    """Write an example lake into `target`, which is new or empty. Returns the written paths, relative to `target`.

    Nothing is ever overwritten. Raises UsageError where `target` holds anything, or there is no such example.
    """
    if name not in names():
        raise UsageError(f'there is no example "{name}"', hint=f"There are: {', '.join(names())}.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(
            "the folder is not empty, and init overwrites nothing", hint="Name a new folder.", path=str(target)
        )
    target.mkdir(parents=True, exist_ok=True)
    with as_file(files(__name__)) as folder:
        written = []
        for relative, source in _entries(folder, name):
            path = target / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(source.read_bytes())
            written.append(relative)
    return written


def _entries(folder: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """Every file of an example, as (path in the lake, source). `gitignore` becomes `.gitignore`."""
    roots = [(folder / name, Path())]
    roots += [(folder / DEFAULT / part, Path(part)) for part in SHARED if not (folder / name / part).is_dir()]
    for root, inside in roots:
        for source in sorted(root.rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                relative = inside / source.relative_to(root)
                yield relative.with_name(".gitignore") if relative.name == "gitignore" else relative, source
