# ruff: noqa: F401  # an import is what registers a format
"""All formats: one line registers one, see `base`. The compressions have a registry of their own, `compressions`."""

from .base import Format
from .bochs import Bochs
from .cd_sectors import CdSectors
from .cloop import Cloop
from .compressions import COMPRESSIONS
from .dmg import Dmg
from .ewf import Ewf
from .file_systems import FileSystems
from .gpt import Gpt
from .iso import Iso
from .kernels import InitialRamDisk, Kernel
from .luks1 import Luks1
from .luks2 import Luks2
from .mbr import Mbr
from .nrg import Nrg
from .ovf import Ovf
from .packed import Lrzip, Lzip, Lzop, Rar, SevenZip, UnixCompress
from .parallels import Parallels
from .parallels_xml import ParallelsXml
from .qcow import Qcow
from .qcow2 import Qcow2
from .qed import Qed
from .tar import Tar
from .text import Text
from .udf import Udf
from .vdi import Vdi
from .vhd import Vhd
from .vhdx import Vhdx
from .vmdk import Vmdk
from .zip import Zip

_CLASSES = [form for form in tuple(globals().values()) if isinstance(form, type) and issubclass(form, Format)]

FORMATS: "tuple[Format, ...]" = (*(form() for form in _CLASSES if form.name), *COMPRESSIONS)
