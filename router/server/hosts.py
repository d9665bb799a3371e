"""Hosts: whether a name or an address is this machine's own."""

from __future__ import annotations

import ipaddress


def is_own(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """Return the name or address in a `Host` header, without port and brackets."""
    told = header.rpartition("@")[2]
    return told.partition("]")[0].lstrip("[") if told.startswith("[") else told.partition(":")[0]
