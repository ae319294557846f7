"""The console's scripts, styles and pictures, served from memory under an address that changes with their content."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "static"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served. A file with another suffix is not."""
COMPRESSED = (".css", ".js", ".json", ".map", ".svg", ".txt")
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent. `packed` is its gzip, or empty where that gains nothing."""

    body: bytes
    packed: bytes
    media_type: str


class Assets:
    """The files of a folder. `url` names one under the digest of all, so that what they import is of the same age."""

    def __init__(self, folder: Path = FOLDER) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in TYPES)
        self._files = {path.relative_to(folder).as_posix(): path for path in paths}
        told = hashlib.sha256()
        for name, path in self._files.items():
            told.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        self.digest = told.hexdigest()[:16]
        self._read = lru_cache(maxsize=None)(self._load)

    @property
    def names(self) -> list[str]:
        """Every file that is served."""
        return list(self._files)

    def url(self, name: str) -> str:
        """Where a browser finds the file, `/static/0123456789abcdef/console.css`. Raises KeyError."""
        return f"/static/{self.digest}/{self._files[name] and name}"

    def get(self, name: str) -> Asset:
        """The file of this name. Raises KeyError."""
        return self._read(name)

    def _load(self, name: str) -> Asset:
        path = self._files[name]
        body = path.read_bytes()
        packed = gzip.compress(body, 9, mtime=0) if path.suffix in COMPRESSED else b""
        return Asset(body, packed if len(packed) < len(body) else b"", TYPES[path.suffix])

    def route(self) -> Route:
        """Serves `/static/<digest>/<name>`; under an older digest it is served too, but not kept."""

        def serve(request: Request) -> Response:
            try:
                asset = self.get(request.path_params["name"])
            except KeyError:
                return PlainTextResponse("There is no such file.", 404)
            current = request.path_params["digest"] == self.digest
            headers = {"Cache-Control": FOR_EVER if current else "no-cache", "Vary": "Accept-Encoding"}
            if asset.packed and "gzip" in request.headers.get("accept-encoding", ""):
                return Response(
                    asset.packed, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"}
                )
            return Response(asset.body, media_type=asset.media_type, headers=headers)

        return Route("/static/{digest}/{name:path}", serve, name="static")
