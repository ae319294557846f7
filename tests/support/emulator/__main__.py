"""Serves until it is terminated. Set up by environment variables, which `support.aws.Emulator` gives."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app
from ministack.core import tls

from support.emulator import authority, crawler, events, jobs, memory, states


def main() -> None:
    """Put our parts into ministack and serve: TLS for roles, plain HTTP beside it."""
    folder, host = Path(os.environ["EMULATOR_FOLDER"]), "127.0.0.1"
    certificate, key = tls.resolve_tls_material()
    (folder / "ca.pem").write_bytes(Path(certificate).read_bytes())
    secure = f"{host}:{os.environ['EMULATOR_TLS_PORT']}"
    authority.install(authority.Endpoint(f"https://{secure}", folder / "ca.pem"), folder / "calls.jsonl")
    states.install(folder / "lost-answers.json")
    memory.install()
    events.install()
    crawler.install()
    jobs.install(folder / "jobs")
    config = Config()
    config.bind = [secure]
    config.insecure_bind = [f"{host}:{os.environ['GATEWAY_PORT']}"]
    config.certfile, config.keyfile = certificate, key
    config.keep_alive_timeout = 75
    asyncio.run(serve(app, config))


if __name__ == "__main__":
    main()
