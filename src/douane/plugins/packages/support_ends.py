"""The last days on which the makers of systems publish security updates without an extra contract: the operator's
`support_ends` come first, then the dates of `support_end_dates.py`."""

from __future__ import annotations

from .support_end_dates import ENDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def support_end(system: str, ends: Mapping[str, str]) -> str:
    """The last day of a system such as ``debian:12``; empty if it is not known. `ends` comes first."""
    name, _, version = system.partition(":")
    return ends.get(system) or ENDS.get(name, {}).get(version, "")
