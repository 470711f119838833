"""The inspector `oslo-format`: what OpenStack's own services would say of the image."""

from __future__ import annotations

from douane_plugin import Incomplete, Inspector, Reject

from ._oslo import load_inspectors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin import Image

BLOCK = 1 << 16
"""The inspectors are fed pieces of this size at multiples of it: what they find depends on where a piece ends."""


class OsloFormat(Inspector):
    """Refuse what the format inspector of oslo.utils finds unsafe: a second opinion beside `format`.

    ``use = "oslo-format"``. Glance, Nova and Cinder run this code again on the image, so what it refuses will not
    start there, whoever is right (docs/formats.md tells where it is known to be wrong). It stops reading when the
    inspectors have seen what they need.

    Configuration:

    ``ignore`` (list of str, none)
        Checks of oslo.utils that are not to refuse, by its names: ``["mbr", "unknown_features"]``.

    Properties: ``format`` and ``virtual_size`` (bytes), as oslo.utils has them.

    Refuses with ``oslo-unsafe`` (a safety check fails), ``oslo-ambiguous`` (more than one format matches). Incomplete
    with ``oslo-failed``: it raised an error, or the image ended before it could tell.
    """

    def __init__(self, ignore: list[str] | None = None) -> None:
        self.ignored = frozenset(ignore or ())

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Raises Reject and Incomplete as told above; returns the properties."""
        inspectors = {name: kind() for name, kind in load_inspectors().ALL_FORMATS.items() if name != "raw"}
        for block in image.windows(BLOCK):
            if not self._feed(inspectors, bytes(block)):
                break
        for inspector in inspectors.values():
            inspector.finish()
        return self._judge(inspectors)

    def _feed(self, inspectors: dict[str, Any], block: bytes) -> bool:
        """False when all that still match have seen enough."""
        wanting = False
        for name, inspector in list(inspectors.items()):
            if inspector.complete:
                continue
            try:
                inspector.eat_chunk(block)
            except Exception as error:  # a parser given another format fails in any way it likes: no match
                self.log.debug("%s: %r", name, error)
                del inspectors[name]
                continue
            if len(block) == BLOCK and not inspector.format_match:
                del inspectors[name]  # every signature stands in the first block
            elif not inspector.complete:
                wanting = True
        return wanting

    def _judge(self, inspectors: dict[str, Any]) -> dict[str, str | int]:
        found = {name: one for name, one in inspectors.items() if one.format_match}
        if "iso" in found:
            found.pop("gpt", None)  # a hybrid, as in oslo.utils' own detect_file_format
        if len(found) > 1:
            raise Reject("oslo-ambiguous", f"the image can be read as {' and as '.join(sorted(found))}")
        for name, inspector in found.items():
            try:
                inspector.safety_check()
                return {"format": name, "virtual_size": inspector.virtual_size}
            except load_inspectors().SafetyCheckFailed as failed:
                reasons = {check: why for check, why in failed.failures.items() if check not in self.ignored}
                if reasons:
                    told = "; ".join(f"{check}: {why}" for check, why in sorted(reasons.items()))
                    raise Reject("oslo-unsafe", f"the {name} image is not safe to OpenStack: {told}"[:900]) from failed
                return {"format": name}
            except Exception as error:
                self.log.warning("%s: %r", name, error)
                raise Incomplete(
                    "oslo-failed", f"the {name} image could not be judged as OpenStack does: {error}"[:900]
                ) from error
        return {"format": "raw"}
