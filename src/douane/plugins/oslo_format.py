"""The inspector `oslo-format`: the format inspector of OpenStack's own services, as a second opinion."""

from __future__ import annotations

from douane_plugin import Incomplete, Inspector, Reject

from ._oslo import load_inspectors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin import Image

BLOCK = 1 << 16
"""Bytes of the pieces that the inspectors are fed: their findings depend on where a piece ends."""


class OsloFormat(Inspector):
    """Refuse what the format inspector of oslo.utils finds unsafe: a second opinion beside `format`.

    ``use = "oslo-format"``. Glance, Nova and Cinder run this code again on the image, so an image that it refuses does
    not start there, even where the code is wrong (docs/formats.md lists such images). It stops reading when the
    inspectors need no more bytes.

    Configuration:

    ``ignore`` (list of str, none)
        Safety checks of oslo.utils that do not refuse, by its names: ``["mbr", "unknown_features"]``.

    Properties: ``format`` and ``virtual_size`` (bytes), as oslo.utils has them.

    Refuses with ``oslo-unsafe`` (a safety check fails), ``oslo-ambiguous`` (more than one format matches). Incomplete
    with ``oslo-failed``: it raised an error, or the image ended too early.
    """

    def __init__(self, ignore: list[str] | None = None) -> None:
        self.ignored = frozenset(ignore or ())

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject and Incomplete."""
        inspectors = {name: kind() for name, kind in load_inspectors().ALL_FORMATS.items() if name != "raw"}
        for block in image.windows(BLOCK):
            if not self._feed(inspectors, bytes(block)):
                break
        for inspector in inspectors.values():
            inspector.finish()
        return self._judge(inspectors)

    def _feed(self, inspectors: dict[str, Any], block: bytes) -> bool:
        """Feed all inspectors; False when those that still match need no more."""
        unfinished = False
        for name, inspector in list(inspectors.items()):
            if inspector.complete:
                continue
            try:
                inspector.eat_chunk(block)
            except Exception as error:  # a parser of another format raises any error: no match
                self.log.debug("%s: %r", name, error)
                del inspectors[name]
                continue
            if len(block) == BLOCK and not inspector.format_match:
                del inspectors[name]  # every signature stands in the first block
            elif not inspector.complete:
                unfinished = True
        return unfinished

    def _judge(self, inspectors: dict[str, Any]) -> dict[str, str | int]:
        matches = {name: inspector for name, inspector in inspectors.items() if inspector.format_match}
        if "iso" in matches:
            matches.pop("gpt", None)  # a hybrid, as in oslo.utils' own detect_file_format
        if len(matches) > 1:
            raise Reject(
                "oslo-ambiguous",
                f"the image can be read as {' and as '.join(sorted(matches))}; convert it from the format that you "
                "mean (qemu-img convert -f FORMAT -O qcow2) and upload the result",
            )
        for name, inspector in matches.items():
            try:
                inspector.safety_check()
                return {"format": name, "virtual_size": inspector.virtual_size}
            except load_inspectors().SafetyCheckFailed as failed:
                reasons = {check: reason for check, reason in failed.failures.items() if check not in self.ignored}
                if reasons:
                    text = "; ".join(f"{check}: {reason}" for check, reason in sorted(reasons.items()))
                    raise Reject("oslo-unsafe", f"the {name} image is not safe to OpenStack: {text}"[:900]) from failed
                return {"format": name}
            except Exception as error:
                self.log.warning("%s: %r", name, error)
                raise Incomplete(
                    "oslo-failed", f"the {name} image could not be judged as OpenStack does: {error}"[:900]
                ) from error
        return {"format": "raw"}
