"""The values in the table ``[serve]`` that TOML has no type for: sizes, durations, addresses, paths, hosts."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Any

from douane.units import parse_duration, parse_size

_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9]([a-z0-9.-]*[a-z0-9])?)):(?P<port>[0-9]{1,5})", re.A | re.I
)
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*", re.A)


class Size(int):
    """Bytes; written as a number, or as ``"8GiB"``."""


class Duration(float):
    """Seconds; written as a number, or as ``"30s"``."""


class Address(str):
    """Where to listen: ``127.0.0.1:9292``, ``[::1]:9292``, ``localhost:9292``. Port 0 is any free port."""

    @property
    def host(self) -> str:
        """The name or address, without brackets."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """True if only processes of this machine can connect."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class FilePath(str):
    """A path; a relative one begins in the folder of the configuration file, and ``~`` is the user's home."""


class HostRule(str):
    """Hosts that web-download may, or may not, connect to: a name, ``*.example.org``, an address or a network."""

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
        """The addresses, if the rule is about addresses."""
        return _network(self)

    def matches_name(self, host: str) -> bool:
        """True if the rule is about names, and `host` (in lower case) is one of them. A wildcard stands for one label
        or more, and not for none."""
        if self.startswith("*."):
            return host.endswith(self[1:]) and len(host) > len(self) - 1
        return host == self


def parse_value(kind: type, value: Any, base: str) -> Any:
    """`value` of the TOML file as a `kind` of this module; `base` is the folder of relative paths. Raises ValueError,
    whose message says what is expected."""
    try:
        return _parsed(kind, value, base)
    except ValueError as error:
        raise ValueError(f"expected {error}") from error


def _parsed(kind: type, value: Any, base: str) -> Any:
    if kind is Size:
        return Size(parse_size(value))
    if kind is Duration:
        return Duration(parse_duration(value))
    if not isinstance(value, str):
        raise ValueError(f"a string, not {value!r:.60}")
    if "\0" in value:
        raise ValueError("a string without NUL characters")
    if kind is FilePath:
        if not value:
            raise ValueError("a path, and not empty")
        return FilePath(os.path.join(base, os.path.expanduser(value)))
    if kind is Address:
        return parse_address(value)
    if kind is HostRule:
        return parse_host_rule(value)
    raise NotImplementedError(kind)


def parse_address(text: str) -> Address:
    """Raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    if match is not None and int(match["port"]) <= 65535:
        try:
            if match["v6"] is None or ipaddress.IPv6Address(match["v6"]):
                return Address(text)
        except ValueError:
            pass
    raise ValueError(f"a host and a port, such as 127.0.0.1:9292 or [::1]:9292, not {text!r:.60}")


def parse_host_rule(text: str) -> HostRule:
    """Raises ValueError."""
    lowered = text.lower().removesuffix(".")
    if _network(lowered) is not None:
        return HostRule(lowered)
    # A name that ends in a number is an address that somebody mistyped: no top-level domain is a number (RFC 3696).
    if not _HOST.fullmatch(lowered) or lowered.rpartition(".")[2].isdigit():
        raise ValueError(f"a host, *.DOMAIN, an address or a network such as 192.0.2.0/24, not {text!r:.60}")
    return HostRule(lowered)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"))
    except ValueError:
        return None
