"""Synopsis, the lines of douane.toml, behind the plugin `format`::

    [[plugin]]
    name = "uefi-by-gpt"
    use = "plugins/uefi_by_gpt.py:UefiByGpt"
    may_set = ["hw_firmware_type"]

Shows ``reads = "findings"``: the findings of earlier plugins, in place of reading the image again. And
``self.propose``: a property of the image itself, outside the plugin's namespace, which the operator lists in `may_set`.
"""

from __future__ import annotations

from douane_plugin import Image, Inspector


class UefiByGpt(Inspector):
    """Boot disks with a GUID partition table by UEFI, unless the tenant has declared the firmware."""

    reads = "findings"

    def inspect(self, image: Image) -> None:
        declared = image.properties.get("hw_firmware_type")
        if image.findings.get("format.partition_table") == "gpt" and not declared:
            self.propose("hw_firmware_type", "uefi")
