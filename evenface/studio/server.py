"""The studio's server: on the loopback, behind a token, within the run's folders."""

import logging
import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, PlainTextResponse
from nicegui import ui
from uvicorn import Config, Server

from evenface.studio import panels
from evenface.studio.folders import Folders
from evenface.studio.guard import HOST, Guard, new_token
from facekit.errors import DataError

TITLE = "Evenface studio"
# What a file of the run may do in the browser: it is one page by itself.
FILE_POLICY = (
    "default-src 'none'; img-src data: blob: 'self'; style-src 'unsafe-inline';"
    " script-src 'unsafe-inline' 'unsafe-eval'; form-action 'none'; frame-ancestors 'self'"
)


def serve(results: Path, port: int, device: torch.device, say: Callable[[str], None]) -> None:
    """Serve the page of a run until the process is told to stop.

    Args:
        results: folder of the run.
        port: of the loopback; 0 takes a free one.
        device: to draw and predict on.
        say: is told the address.

    Raises:
        DataError: the port is taken.
    """
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise DataError(f"--port {port}: {reason}; --port 0 takes a free one") from None
    with listening:
        guard = Guard(make_app(results, device), new_token(), listening.getsockname()[1])
        say(f"{TITLE} of {results}: open {guard.address}")
        say("Whoever has this address can use it; Ctrl-C ends it.")
        for name in ("uvicorn", "nicegui"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # NiceGUI looks at all objects for its server, and meets one that torch gives up.
        warnings.filterwarnings("ignore", "`torch.distributed.reduce_op`", FutureWarning)
        config = Config(guard, log_level="warning", access_log=False, lifespan="on")
        Server(config).run(sockets=[listening])


def make_app(results: Path, device: torch.device) -> FastAPI:
    """Return the application; it is to stand behind a `Guard`, and once in a process."""
    folders = Folders(results)
    app = FastAPI(openapi_url=None)

    @app.get("/files/{root}/{path:path}")
    def file(root: str, path: str) -> FileResponse:
        found = folders.file(root, path)
        if found is None:
            raise HTTPException(404, "No such file within the folders of the run.")
        policy = {"content-security-policy": FILE_POLICY, "cache-control": "no-cache"}
        return FileResponse(found, headers=policy)

    studio = panels.Studio(folders, device)

    @app.post("/photographs")
    async def take(request: Request) -> PlainTextResponse:
        try:
            return PlainTextResponse(await studio.uploads.put(request.stream()))
        except DataError as error:
            raise HTTPException(413, str(error)) from None

    ui.run_with(
        app,
        root=studio.page,
        title=f"{TITLE}: {folders.results.resolve().name}",
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        favicon="🙂",
    )
    return app
