"""Which hosts and addresses web-download may connect to: no I/O.

The networks are those of IANA's registries of special-purpose addresses (RFC 6890; read in November 2026).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from douane.imports.settings.structs import WebDownloadSettings
from douane.imports.settings.values import HostRule

Address = IPv4Address | IPv6Address

_SPECIAL_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host; a connection to it reaches loopback
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT; metadata of Alibaba Cloud
            "127.0.0.0/8",
            "168.63.129.16/32",  # public by the registry, and Azure's metadata service
            "169.254.0.0/16",  # link-local; metadata of OpenStack, AWS, Google, ...
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; metadata of Oracle Cloud
            "192.0.2.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")
"""The only addresses of IPv6 that are given out for the public Internet."""
_SPECIAL_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
            "2001:db8::/32",
            "2002::/16",  # 6to4
            "3fff::/20",
        ),
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


def is_public(address: Address) -> bool:
    """True for an address of the public Internet, and of no network beside it."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_4)
    if address.scope_id is not None or address not in _GLOBAL_6:
        return False
    return not any(address in network for network in _SPECIAL_6) and all(map(is_public, embedded(address)))


def embedded(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that a packet to `address` may come to, by the ways in which IPv6 carries IPv4."""
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    low = number & 0xFFFF_FFFF
    if any(address in network for network in (_MAPPED, _TRANSLATED, _COMPATIBLE, _NAT64)):
        yield IPv4Address(low)
    elif address in _NAT64_LOCAL:  # of whatever length the operator's prefix is (RFC 6052, section 2.2)
        yield IPv4Address(low)
        yield IPv4Address((number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF)
        yield IPv4Address((number >> 64 & 0xFF) << 24 | number >> 32 & 0xFF_FFFF)
        yield IPv4Address(number >> 24 & 0xFFFF_FFFF)
    elif address in _SIX_TO_FOUR:
        yield IPv4Address(number >> 80 & 0xFFFF_FFFF)
    elif address in _TEREDO:
        yield IPv4Address(low ^ 0xFFFF_FFFF)
        yield IPv4Address(number >> 64 & 0xFFFF_FFFF)
    if number >> 32 & 0xFFFF_FFFF in _ISATAP:
        yield IPv4Address(low)


def parse_literal(host: str) -> Address | None:
    """The address that `host` spells; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class AddressRules:
    """The operator's rules. Each method returns the reason of a refusal, in words, or None.

    The reasons name no address: a tenant would learn how the names inside of the site resolve.
    """

    def __init__(self, settings: WebDownloadSettings) -> None:
        self._private = settings.private
        self._restricted = bool(settings.allow)
        self._allowed_names = _names(settings.allow)
        self._allowed_networks = _networks(settings.allow)
        self._denied_names = _names(settings.deny)
        self._denied_networks = _networks(settings.deny)

    def refuse_name(self, host: str, *, resolved_here: bool = True) -> str | None:
        """What is wrong with the name `host`, before it is resolved; with a proxy it never is."""
        if any(rule.matches_name(host) for rule in self._denied_names):
            return "the operator denies this host"
        literal = parse_literal(host)
        if literal is not None:
            return self.refuse_addresses(host, [literal])
        if not self._restricted or self._is_allowed_name(host) or (resolved_here and self._allowed_networks):
            return None
        return "the operator allows other hosts only"

    def refuse_addresses(self, host: str, addresses: Sequence[Address]) -> str | None:
        """What is wrong with `addresses`, all that `host` resolves to. An address that is refused refuses the host:
        who controls the name would only have to wait for the other to be chosen."""
        for address in addresses:
            forms = [address, *embedded(address)]
            if any(_within(form, self._denied_networks) for form in forms):
                return "the operator denies its address"
            allowed = any(_within(form, self._allowed_networks) for form in forms)
            if self._restricted and not allowed and not self._is_allowed_name(host):
                return "the operator allows other hosts only"
            if self._private:
                continue
            public = all(_within(form, self._allowed_networks) or is_public(form) for form in forms)
            if not public:
                return "its address is not public"
        return None

    def _is_allowed_name(self, host: str) -> bool:
        return any(rule.matches_name(host) for rule in self._allowed_names)


def _names(rules: Iterable[HostRule]) -> tuple[HostRule, ...]:
    return tuple(rule for rule in rules if rule.network is None)


def _networks(rules: Iterable[HostRule]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(rule.network for rule in rules if rule.network is not None)


def _within(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)
