"""Synopsis, the lines of douane.toml, behind the plugin `format`::

    [[plugin]]
    name = "uefi-by-gpt"
    use = "plugins/uefi_by_gpt.py:UefiByGpt"
    may_set = ["hw_firmware_type"]

Shows ``reads = "findings"``: what other plugins found, instead of looking once more. And ``self.propose``: a property
of the image itself, outside of the plugin's own namespace, which the operator has to list in `may_set`.
"""

from __future__ import annotations

from douane_plugin import Image, Inspector


class UefiByGpt(Inspector):
    """Have disks with a GUID partition table boot by UEFI, unless the tenant said how they boot."""

    reads = "findings"

    def inspect(self, image: Image) -> None:
        declared = image.properties.get("hw_firmware_type")
        if image.findings.get("format.partition_table") == "gpt" and not declared:
            self.propose("hw_firmware_type", "uefi")
