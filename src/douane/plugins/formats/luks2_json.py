"""The JSON area of a LUKS2 header: the place of the encrypted disk, and the keys.

Format: "LUKS2 On-Disk Format Specification", section 3.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .match import Match

AT = 4096
MAX_OBJECTS = 64


def read_json(match: "Match", text: bytes, headers_end: int) -> "tuple[int, int | None] | None":
    """Offset and length of the disk in bytes, the length None for "the rest"; None if the area is not understood.

    `text` is the JSON area without its padding; `headers_end` is the offset at which the keys begin.
    """
    import json

    try:
        area = json.loads(text)
        segments = area["segments"]
        disks = [segments[name] for name in sorted(segments, key=int)]
        keys = {name: slot["area"] for name, slot in list(area.get("keyslots", {}).items())[:MAX_OBJECTS]}
        requirements = area.get("config", {}).get("requirements", {}).get("mandatory", [])
        _judge_keys(match, keys, headers_end)
        place = _place(match, disks[:MAX_OBJECTS])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        match.find("header", f"the JSON area is not understood: {type(error).__name__}: {str(error)[:100]}", AT)
        return None
    match.note("segments", len(segments), AT)
    match.note("keyslots", len(keys), AT)
    if requirements:
        match.find("unknown-feature", f"it requires unknown features: {str(requirements)[:200]}", AT)
    if place[0] < headers_end:
        match.find("overlap", f"the disk begins at {place[0]}, but the headers end at {headers_end}", AT)
    return place


def _place(match: "Match", disks: "list[Any]") -> "tuple[int, int | None]":
    """The start of the first segment, and the length up to the end of the last."""
    first, last = disks[0], disks[-1]
    for segment in disks[:4]:
        encryption = segment.get("encryption", "not encrypted")
        match.note("segment", f"{segment['type']}, {encryption}, {segment['size']} at {segment['offset']}", AT)
    start, last_start = _number(first["offset"]), _number(last["offset"])
    if last["size"] == "dynamic":
        return start, None
    return start, max(0, last_start + _number(last["size"]) - start)


def _judge_keys(match: "Match", keys: "dict[str, Any]", headers_end: int) -> None:
    for name, area in keys.items():
        at, length = _number(area["offset"]), _number(area["size"])
        match.must_reach(at + length, f"key slot {name[:20]}")
        if at < headers_end:
            match.find("overlap", f"key slot {name[:20]!r} is at {at}, but the headers end at {headers_end}", AT)


def _number(value: "Any") -> int:
    """The integer `value`, which is text in JSON (section 3.1). Raises ValueError for an impossible offset."""
    number = int(value)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"{number} is not an offset")
    return number
