"""The groups of matches, by which formats that share an image are compared."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match

OPTICAL = ("iso", "udf")


def group_of(match: "Match") -> str:
    """``disk``, ``disk at the end``, ``other``, ``optical``, ``archive``, ``archive at the end``, ``compressed`` or
    ``content``. A fixed VHD and a dmg are a disk at the end."""
    if match.name in OPTICAL:
        return "optical"
    if match.kind in ("disk", "archive") and match.at == "end":
        return f"{match.kind} at the end"
    return match.kind
