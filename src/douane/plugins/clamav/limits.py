"""What clamd scans at all, by its configuration (clamd.conf(5)): beyond it, clamd says OK without having looked."""

from __future__ import annotations

from dataclasses import dataclass

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
CEILING = (1 << 31) - 1
"""clamd's own limit of a file, which no setting raises: 2 GiB less one byte."""

DEFAULT_BYTES = 100 << 20
"""MaxFileSize and StreamMaxLength since ClamAV 1.0; those of MaxScanSize are larger."""

MUST_BE_ON = ("AlertExceedsMax", "AlertEncrypted")
"""Without them clamd says OK of what it has skipped."""


@dataclass(frozen=True)
class Limits:
    """Bytes of the longest file that is scanned whole."""

    file_bytes: int


def parse_limits(text: str) -> Limits:
    """The limits in the configuration of clamd. Raises ValueError if clamd would be silent about what it skips."""
    settings = _settings(text)
    for name in MUST_BE_ON:
        if not all(value.lower() in ("yes", "true", "1") for value in settings.get(name, ["no"])):
            raise ValueError(
                f"clamd.conf does not have '{name} yes', without which clamd calls clean what it has not scanned; "
                "set it, and restart clamd"
            )
    sizes = [size for name in ("MaxFileSize", "StreamMaxLength", "MaxScanSize") for size in _sizes(settings, name)]
    return Limits(min([size for size in sizes if size] + [CEILING]))


def _settings(text: str) -> dict[str, list[str]]:
    """The values of each name: of several, the strictest counts, whichever clamd takes."""
    lines = (line.split(None, 1) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    settings: dict[str, list[str]] = {}
    for words in lines:
        settings.setdefault(words[0], []).append(words[1].strip() if len(words) > 1 else "")
    return settings


def _sizes(settings: dict[str, list[str]], name: str) -> list[int]:
    """Bytes; 0 if there is no limit but clamd's own."""
    sizes = []
    for value in settings.get(name, [str(DEFAULT_BYTES)]):
        number, unit = value.rstrip("KkMmGg"), value[len(value.rstrip("KkMmGg")) :].upper()
        if not (number.isascii() and number.isdigit() and unit in UNITS):
            raise ValueError(f"clamd.conf has '{name} {value:.40}', which is no size")
        sizes.append(int(number) * UNITS[unit])
    return sizes
