"""Starts the server: what `digits serve` runs."""

from __future__ import annotations

import ipaddress
import os
import signal
import tempfile

import uvicorn
from pydantic import ValidationError
from uvicorn.supervisors import Multiprocess

from digitreader.cores import cores
from digitreader.errors import DigitReaderError
from digitreader.service import logs
from digitreader.service.headers import BoundedHeaders
from digitreader.service.settings import Settings


class ServiceError(DigitReaderError):
    """The service may not be started so."""


def is_local(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(host: str, port: int, workers: int) -> None:
    """Serve until a signal ends it; requests that were accepted are answered first.

    Parameters
    ----------
    host : str
    port : int
    workers : int
        Processes; one that dies is replaced.

    Raises
    ------
    ServiceError
        If a setting makes no sense, or others than this machine could use the service without a key and the settings do
        not say that this is meant.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        described = (f"DIGITS_{'.'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors())
        raise ServiceError("; ".join(described)) from error
    if not is_local(host) and not settings.api_keys and not settings.without_keys:
        raise ServiceError(
            f"On {host} everyone who reaches this machine could use the service: set DIGITS_API_KEYS, or "
            "DIGITS_WITHOUT_KEYS=true if that is meant."
        )
    logs.configure()
    config = uvicorn.Config(
        "digitreader.service.app:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        access_log=False,
        log_config=None,
        server_header=False,
        http=BoundedHeaders,
        ws="none",
        proxy_headers=False,  # no address is used
        timeout_graceful_shutdown=int(settings.seconds) + 5,
    )
    if workers == 1:
        # Uvicorn raises the signal that ended it once more, after all is done: it means success here.
        signal.signal(signal.SIGTERM, lambda *_: None)
        uvicorn.Server(config).run()
        return
    if not settings.threads:
        os.environ["DIGITS_THREADS"] = str(max(cores() // workers, 1))  # of each worker
    with tempfile.TemporaryDirectory(prefix="digits-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # where each worker leaves its counts
        bound = config.bind_socket()
        bound.listen(config.backlog)  # who comes before the first worker is there waits
        Multiprocess(config, [bound]).run()
