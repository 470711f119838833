"""Write a plugin for Douane: one class that sees an image's bytes and says yes, no, or here is another.

Everything a plugin needs is in this module::

    from douane_plugin import Inspector, Reject

    class BootSector(Inspector):
        reads = "head:512"

        def inspect(self, image):
            if image.read(512)[510:512] != b"\\x55\\xaa":
                raise Reject("no-boot-signature", "the image has no boot sector signature")

What is exported here is the contract, at level :data:`API_LEVEL`. Within a level things are only added.
Names that begin with an underscore are not part of it.
"""

from ._contract import API_LEVEL, Defer, Incomplete, Inspector, Reject, Transform
from ._image import Image
from ._scratch import Scratch

__all__ = ["API_LEVEL", "Defer", "Image", "Incomplete", "Inspector", "Reject", "Scratch", "Transform"]
