"""ISO 9660 as Linux shows it: with the names of Rock Ridge, else of Joliet, else of ISO 9660 itself in small letters.

ECMA-119; Joliet Specification 1995; IEEE P1281 (SUSP) and P1282 (RRIP) 1.12; zisofs of libisofs' doc/zisofs_format.txt.
"""

from .system import Iso9660, open, probe

__all__ = ["Iso9660", "open", "probe"]
