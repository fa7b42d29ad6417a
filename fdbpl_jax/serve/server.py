"""The server: a port, a loaded classifier, and an end that finishes what was begun."""

import dataclasses
import errno
import ipaddress
import logging
import math
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import absl.logging
import uvicorn
from starlette.applications import Starlette

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.clip.model import cast, load_clip
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.errors import UserError
from fdbpl_jax.serve.app import create_app
from fdbpl_jax.serve.predictor import Predictor
from fdbpl_jax.serve.regions import Regions
from fdbpl_jax.serve.upload import Limits
from fdbpl_jax.terminal.signals import stopping

_IDLE_CONNECTIONS = 256  # beside those of the requests that may wait


@dataclasses.dataclass(frozen=True)
class Options:
    """What is served, where."""

    classifier: str  # its folder or hub id
    limits: Limits
    student: str = ""  # where it is now, if elsewhere than the classifier says
    teacher: str = ""  # folder or id of the CLIP that weighs regions; empty: none
    regions: int = 24  # of a picture
    host: str = "127.0.0.1"
    port: int = 8000  # 0: any that is free
    batch: int = 16  # images computed at once, at most


def serve(options: Options) -> None:
    """Serve until a signal ends the command.

    Raises:
      UserError: the port cannot be had, or what is to be served cannot be loaded.
    """
    # First the port: it takes no time, and loading does.
    with listen(options.host, options.port) as listener:
        app = load_app(options)
        address = _address(listener)
        if not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
            absl.logging.warning(
                "%s can be asked by everybody who reaches this machine, without "
                "password or encryption",
                address,
            )
        absl.logging.info("ready at %s", address)
        run(make_server(app, options.limits), listener)


def load_app(options: Options) -> Starlette:
    """Load the models and compile their programs; UserError as `Classifier.load`."""
    classifier = Classifier.load(options.classifier, options.student, options.teacher)
    predictor, regions = Predictor(classifier, options.batch), None
    if options.teacher:
        _ = classifier.models  # PromptKD's teacher is loaded now, not by a request
        teacher = cast(load_clip(options.teacher), tower_dtype(""))
        regions = Regions(teacher, classifier.template, options.regions)
    return create_app(predictor, regions, options.limits)


def listen(host: str, port: int) -> socket.socket:
    """Take a port; 0: any that is free.

    Raises:
      UserError: it is in use or not allowed, or the host is none of this machine.
    """
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )
        listener = socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        where, advice = f"port {port} of '{host}'", "Check --host and --port."
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            what = f"{where} is in use"
            raise UserError(what, "Give another --port, or 0.") from error
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{where} cannot be served ({reason})", advice) from error
    # Connections inherit it. Head and body of an answer are two packets, and the second
    # would wait 40 ms for the client to confirm the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Answer requests; a signal ends it after those that have begun."""

    def stop() -> None:
        server.should_exit = True

    # In a thread uvicorn leaves the signals to us.
    with stopping(stop), ThreadPoolExecutor(1) as pool:
        pool.submit(server.run, [listener]).result()


def make_server(app: Starlette, limits: Limits) -> uvicorn.Server:
    """The server of an application, quiet about what clients do wrong."""
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    idle: dict[Any, Any] = {}  # connections without a request, by their last one

    async def close_idle() -> None:
        """Close connections that have not sent a request since the last call."""
        # Of h11, see below: the type is that of all protocols that uvicorn speaks.
        connections: Iterable[Any] = server.server_state.connections
        now = {
            connection: connection.cycle
            for connection in connections
            if connection.cycle is None or connection.cycle.response_complete
        }
        for connection, last in now.items():
            if connection in idle and idle[connection] is last:
                connection.shutdown()
        idle.clear()
        idle.update(now)

    seconds = math.ceil(limits.seconds)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        headers=[("X-Content-Type-Options", "nosniff")],
        limit_concurrency=limits.waiting + _IDLE_CONNECTIONS,
        timeout_graceful_shutdown=seconds,
        callback_notify=close_idle,
        timeout_notify=seconds,
    )
    server = uvicorn.Server(config)
    return server


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
