"""Ray for the time of a run: the user's cluster, or one on this machine, out of others' reach."""

import ipaddress
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ...errors import Errors
from ..reading.shards import Cut

# Since 2.52 Ray asks for a token where it is told to; the first that also works with pandas 3.
OLDEST = (2, 55)
ADDRESS = "address"
EVERYWHERE = {"RAY_USAGE_STATS_ENABLED": "0"}
# For a Ray of our own. What the user has set counts.
OURS = {
    **EVERYWHERE,
    "RAY_AUTH_MODE": "token",
    # Listen on 127.0.0.1 only, as Ray does by itself on other systems than Linux.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray would end the actor that has most memory, and never learn which document it was. Left to
    # the system, the process below ends, and the document is found.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
# While an actor works on a shard, the next one is brought to its machine.
SHARDS_OF_AN_ACTOR = 2
BYTES_OF_A_CHARACTER = 4
LEAST_BYTES_AHEAD = 64 * 2**20
SECONDS_TO_CONNECT = 10.0
LEVELS = {
    "ray.data": logging.WARNING,
    "ray.data._internal.progress": logging.ERROR,  # that it has been switched off
    "ray.data._internal.execution.resource_manager": logging.ERROR,  # that it is kept small
}
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@contextmanager
def ray_session(
    address: str | None, *, cpus: int, gpus: float, object_store: int
) -> Iterator[None]:
    """Be connected to Ray.

    A Ray that the program is connected to already is used as it is, and left as it is.

    address (str | None): A cluster, "host:port" or "auto". None: a new one on this machine, which
        listens on the loopback interface only, asks for a token that nobody else has, has no
        dashboard and sends no usage statistics. It ends with the session, or with the process if
        that is killed.
    cpus (int): Cores that a new one counts with.
    gpus (float): GPUs that a run needs together; 0 if none.
    object_store (int): Bytes that a new one has for what is on its way.
    RAISES (ValueError): If there is no cluster of that address, a new one would be open to the
        network, or there are not enough GPUs.
    """
    imported_before = "ray" in sys.modules
    defaults = OURS if address is None else EVERYWHERE
    with _environment(defaults, with_token=address is None):
        # Not before: much of what Ray reads from its environment it reads when it is imported.
        import ray
        import ray.data
        import ray.exceptions

        if ray.is_initialized():
            with _quiet():
                yield
            return
        options: dict[str, Any] = {ADDRESS: address}
        if address is None:
            if imported_before and _listens_everywhere():
                raise ValueError(Errors.E877)
            options = {
                ADDRESS: "local",
                "num_cpus": cpus,
                "include_dashboard": False,
                "object_store_memory": object_store,
                **({} if gpus else {"num_gpus": 0}),
            }
        else:
            _require_somebody(address)
        with _signals_kept():
            try:
                ray.init(**options, logging_level=logging.WARNING)
            except (ConnectionError, ray.exceptions.RayError, RuntimeError) as error:
                raise ValueError(
                    Errors.E876.format(address=options[ADDRESS], problem=error)
                ) from error
        try:
            found = ray.cluster_resources().get("GPU", 0)
            if address is None and gpus > found:
                raise ValueError(Errors.E878.format(wanted=f"{gpus:g}", found=f"{found:g}"))
            with _quiet():
                yield
        finally:
            ray.shutdown()


def bytes_ahead(cut: Cut, *, workers: int) -> int:
    """RETURNS (int): Most bytes of shards that are read and not annotated yet."""
    shards = SHARDS_OF_AN_ACTOR * workers + 2
    return max(LEAST_BYTES_AHEAD, shards * cut.shard_characters * BYTES_OF_A_CHARACTER)


def require_ray() -> None:
    """That Ray is missing is told before any work.

    RAISES (ImportError): If it is not installed, or too old.
    """
    try:
        found = version("ray")
    except PackageNotFoundError:
        found = "none"
    if found == "none" or tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ImportError(Errors.E870.format(oldest=oldest, found=found))


def _require_somebody(address: str) -> None:
    """Where nobody listens, Ray would end the whole process after a while."""
    host, is_there, port = address.rpartition(":")
    if not is_there:
        return  # "auto", which Ray looks up itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ValueError(Errors.E876.format(address=address, problem=error)) from error


def _listens_everywhere() -> bool:
    """Whether Ray has chosen, when it was imported, to listen on an address of the network."""
    from ray.util import get_node_ip_address

    return not ipaddress.ip_address(get_node_ip_address()).is_loopback


@cache
def _token() -> str:
    """One for the process: Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def _environment(defaults: Mapping[str, str], *, with_token: bool) -> Iterator[None]:
    """Ray and the processes it starts read these variables. Restored afterwards."""
    wanted = dict(defaults)
    if with_token and not any(name in os.environ for name in TOKENS):
        wanted[TOKENS[0]] = _token()
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """A run tells how far it is by itself."""
    loggers = {logging.getLogger(name): level for name, level in LEVELS.items()}
    before = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it is started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
