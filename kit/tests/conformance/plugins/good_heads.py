"""Plugins in which nothing is wrong, that read a head, at random, or nothing."""

import io
import mmap
import struct
import zipfile
from enum import Enum

from douane_plugin import Defer, Incomplete, Inspector, Reject


class BootSector(Inspector):
    """A boot sector's signature."""

    reads = "head:512"

    def __init__(self, signature: str = "55aa"):
        self.signature = bytes.fromhex(signature)

    def inspect(self, image):
        head = image.read(512)
        if len(head) < 512:
            raise Incomplete("too-short", "the image is shorter than one sector; upload it again")
        if head[510:512] != self.signature:
            raise Reject("no-boot-signature", "the image has no boot sector signature")
        return {"boot": "mbr"}


class Qcow2Header(Inspector):
    """The header of a qcow2, checked before it is taken apart."""

    reads = "head:104"

    def inspect(self, image):
        head = image.read(104)
        if not head.startswith(b"QFI\xfb"):
            return None
        if len(head) < 72:
            raise Incomplete("qcow2-cut-off", "the image ends inside its header; upload it again")
        version, backing, _, bits, size = struct.unpack_from(">IQIIQ", head, 4)
        if backing:
            raise Reject("backing-file", "the image needs another file below it; convert it to a whole one")
        if version not in (2, 3) or not 9 <= bits <= 21:
            raise Reject("qcow2-odd", "the header of the image is damaged; make the image anew")
        return {"version": version, "virtual_mib": size >> 20}


class Partitions(Inspector):
    """Kinds of partitions in an MBR."""

    reads = "head:512"

    def inspect(self, image):
        head = image.read(512)
        if len(head) < 512 or head[510:] != b"\x55\xaa":
            return {"table": "none"}
        kinds = [head[446 + 16 * number + 4] for number in range(4)]
        return {"table": "gpt" if 0xEE in kinds else "mbr", "kinds": " ".join(f"{kind:02x}" for kind in kinds if kind)}


class Zip(Inspector):
    """Names in an archive, by a seekable file."""

    reads = "random"

    def inspect(self, image):
        try:
            with zipfile.ZipFile(image.file) as archive:
                names = [info.filename for info in archive.infolist()]
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError):
            return {"zip": False}
        if any(name.startswith("/") or ".." in name for name in names):
            raise Reject("bad-name", "a name in the archive leads out of it; pack it again")
        return {"zip": True, "members": len(names)}


class Mapped(Inspector):
    """The image, mapped."""

    reads = "random"

    def inspect(self, image):
        size = image.file.seek(0, io.SEEK_END)
        if not size:
            return {"found": -1}
        with mmap.mmap(image.file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return {"found": data.find(b"LABELONE")}


class Footer(Inspector):
    """The end of the file, by seeking."""

    reads = "random"

    def inspect(self, image):
        size = image.file.seek(0, io.SEEK_END)
        if size < 512:
            return None
        image.file.seek(size - 512)
        footer = image.file.read(512)
        if footer[:8] == b"conectix" and footer[60:64] != b"\0\0\0\2":
            raise Reject("not-fixed", "only disks of fixed size are taken here; convert it")
        return {"vhd": footer[:8] == b"conectix"}


class Owners(Inspector):
    """Who may."""

    reads = "nothing"

    def __init__(self, owners: tuple[str, ...] = ("0123456789abcdef0123456789abcdef",)):
        self.owners = frozenset(owners)

    def inspect(self, image):
        if image.owner is None:
            raise Incomplete("no-owner", "nobody said whose image it is to be; ask the operator")
        if image.owner not in self.owners:
            raise Reject("owner", "this project may not upload images here; ask the operator")


class SizeLimit(Inspector):
    """The size, as far as it is known, and as it is."""

    def __init__(self, limit: int = 1 << 40):
        self.limit = limit

    def inspect(self, image):
        if image.size is not None and image.size > self.limit:
            raise Reject("too-large", f"images of more than {self.limit} bytes are not taken here")
        for _ in image:
            if image.offset > self.limit:
                raise Reject("too-large", f"images of more than {self.limit} bytes are not taken here")


class Names(Inspector):
    """What is declared, used with care."""

    reads = "nothing"

    def inspect(self, image):
        name = (image.name or "").lower()
        if name.endswith((".exe", ".msi")):
            raise Reject("program", "a program is not a disk image; upload the disk")
        cores = image.properties.get("hw_cpu_cores", "")
        if cores.isascii() and cores.isdigit() and len(cores) < 6 and int(cores) > 64:
            raise Reject("too-many-cores", "no more than 64 cores can be asked for")
        return {"named": bool(name), "format": (image.disk_format or "")[:20].replace("\0", "")}


class NotYet(Inspector):
    """Not now, if there are no rules."""

    reads = "head:4"

    def __init__(self, ready: bool = False):
        self.ready = ready

    def inspect(self, image):
        if image.read(4) == b"KDMV" and not self.ready:
            raise Defer(60, "the rules for VMDK are being loaded; try again in a minute")


class Kind(Enum):
    """What it is."""

    GZIP = "gzip"
    QCOW2 = "qcow2"
    RAW = "raw"


class Magic(Inspector):
    """Constants in a table, and a property that is an enum's value."""

    reads = "head:8"
    TABLE = {b"\x1f\x8b": Kind.GZIP, b"QFI\xfb": Kind.QCOW2}

    def inspect(self, image):
        head = image.read(8)
        kind = next((kind for magic, kind in self.TABLE.items() if head.startswith(magic)), Kind.RAW)
        return {"kind": kind.value}


class Gpt(Inspector):
    """A GPT, with as many names as fit."""

    reads = "head:17408"

    def inspect(self, image):
        head = image.read(17408)
        if head[512:520] != b"EFI PART":
            return {"gpt": False}
        if len(head) < 17408:
            raise Incomplete("gpt-cut-off", "the image ends inside its partition table; upload it again")
        size, count = struct.unpack_from("<II", head, 512 + 84)[::-1]
        if not 128 <= size <= 512 or count > 128:
            size, count = 128, 0
        used = 0
        for number in range(count):
            entry = head[1024 + size * number :][:size]
            used += bool(entry[:16].strip(b"\0"))
        return {"gpt": True, "partitions": used}


class Proposes(Inspector):
    """By what others found."""

    reads = "findings"

    def inspect(self, image):
        if image.findings.get("format.partition_table") == "gpt":
            self.propose("hw_firmware_type", "uefi")
        if image.findings.get("format.virtual_size", 0) > 1 << 40:
            self.warn("large", "the disk is larger than a TiB")


class OptionalLibrary(Inspector):
    """Works with a library and without."""

    reads = "head:4096"

    def inspect(self, image):
        try:
            from no_such_library import fast_count
        except ImportError:
            fast_count = None
        head = image.read(4096)
        return {"zeros": fast_count(head) if fast_count else head.count(0)}


class SpecificErrors(Inspector):
    """Catches what it expects, by name."""

    reads = "head:4096"

    def inspect(self, image):
        head = image.read(4096)
        try:
            text = head.decode("utf-8")
        except UnicodeDecodeError:
            return {"text": False}
        if text.startswith("#cloud-config"):
            raise Reject("cloud-config", "this is a configuration for cloud-init, and no disk image")
        return {"text": bool(text)}


class SizeOfFile(Inspector):
    """A plugin that reads at random gets a file: its size is always known."""

    reads = "random"

    def inspect(self, image):
        if image.size > 100 << 30:
            raise Reject("too-large", "the image is larger than this site allows")
        return {"sectors": image.size // 512}
