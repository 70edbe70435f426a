"""The HTTP server of `landscape serve`: uvicorn, with two numbers where it has one."""

import contextlib
import gc
import os
import socket
import sys

import uvicorn

from ..open_files import raise_limit
from ..settings import Settings

WAITING = 2048  # connections that the system keeps until they are accepted
MOST_AT_ONCE = 64  # connections that are accepted before any of them is counted (app/connections.py) or served
FAILED = 3  # exit code
SWITCH_SECONDS = 0.0005  # a thread that computes (a large event) lets others go on after this, not after 5 ms


class Server(uvicorn.Server):
    """Accepts as many connections at once as the backlog says, and lets `WAITING` wait."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is loaded now stays, and need not be looked through again and again
        for listening in (one for server in self.servers for one in server.sockets):
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                same.listen(WAITING)


def run(settings: Settings) -> None:
    """Serve the API and the page until a signal ends that; the application takes its settings from the environment."""
    server = Server(
        uvicorn.Config(
            "app.main:create_app",
            factory=True,
            host=settings.host,
            port=settings.port,
            log_config=None,
            http="app.slow_clients:StallTimeoutProtocol",
            ws="none",
            server_header=False,
            backlog=min(MOST_AT_ONCE, max(1, raise_limit() // 8)),
        )
    )
    sys.setswitchinterval(SWITCH_SECONDS)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(FAILED)
