# ruff: noqa: F401  # an import is what registers a format
"""All formats: one line registers one, see `base`."""

from .base import Format
from .bochs import Bochs
from .bzip2 import Bzip2
from .cd_sectors import CdSectors
from .cloop import Cloop
from .dmg import Dmg
from .ewf import Ewf
from .file_systems import FileSystems
from .gpt import Gpt
from .gzip import Gzip
from .iso import Iso
from .kernels import InitialRamDisk, Kernel
from .luks1 import Luks1
from .luks2 import Luks2
from .lz4 import Lz4
from .lzma import Lzma
from .mbr import Mbr
from .nrg import Nrg
from .ovf import Ovf
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
from .xz import Xz
from .zip import Zip
from .zstd import Zstd

FORMATS: "tuple[Format, ...]" = tuple(
    kind() for kind in tuple(globals().values()) if isinstance(kind, type) and issubclass(kind, Format) and kind.name
)
