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

from ._contract import API_LEVEL, Inspector, Transform
from ._exceptions import Defer, Incomplete, Reject
from ._image import Image
from ._scratch import Scratch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._files import ImageFile
    from ._guest import Guest, GuestDisk, GuestEntry, GuestFile, GuestPackage, GuestRoot, GuestVolume
    from ._guest_facts import UnreadPart, Volume

__all__ = [
    "API_LEVEL",
    "Defer",
    "Guest",
    "GuestDisk",
    "GuestEntry",
    "GuestFile",
    "GuestPackage",
    "GuestRoot",
    "GuestVolume",
    "Image",
    "ImageFile",
    "Incomplete",
    "Inspector",
    "Reject",
    "Scratch",
    "Transform",
    "UnreadPart",
    "Volume",
]

_MODULES = {"ImageFile": "_files", "UnreadPart": "_guest_facts", "Volume": "_guest_facts"}
"""Of names that few plugins use: their modules are imported with the first use, since each start of a plugin would pay.
Those of all other such names begin with ``Guest``."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{_MODULES.get(name, '_guest')}", fromlist=["_"])
    value: object = getattr(module, name)
    globals()[name] = value
    return value
