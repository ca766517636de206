"""Whether anything answers at a cluster's address: Ray itself would ask on for many minutes."""

from __future__ import annotations

import socket

from sol.errors import SolError

_LIMIT_S = 10.0


def require_reachable(address: str) -> None:
    """Opens a connection; an address without a port ("auto") is left to Ray.

    Args:
        address: "host:port", "ray://host:port" or "auto".

    Raises:
        SolError: Nothing answers.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_LIMIT_S).close()
    except (OSError, OverflowError) as error:
        raise no_cluster(address, f"{error}.") from error


def no_cluster(address: str, reason: str) -> SolError:
    """With the remedy."""
    return SolError(
        f"No Ray cluster could be joined at {address}: {reason} Start one with "
        "`ray start --head`, make this machine a node of it, and pass the address that it prints; "
        "or leave out --ray-address to use this machine alone."
    )
