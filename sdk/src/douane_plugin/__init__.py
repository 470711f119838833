"""The contract of a Douane plugin: one class that reads an image, and accepts it, refuses it or makes a new one.

All that a plugin needs is in this module::

    from douane_plugin import Inspector, Reject

    class BootSector(Inspector):
        reads = "head:512"

        def inspect(self, image):
            if image.read(512)[510:512] != b"\\x55\\xaa":
                raise Reject("no-boot-signature", "the image has no boot sector signature")

The exported names are the contract, at level :data:`API_LEVEL`. Within a level, names are only added. Names that begin
with an underscore are private.
"""

from ._contract import API_LEVEL, Defer, Incomplete, Inspector, Reject, Transform
from ._image import Image
from ._scratch import Scratch

__all__ = ["API_LEVEL", "Defer", "Image", "Incomplete", "Inspector", "Reject", "Scratch", "Transform"]
