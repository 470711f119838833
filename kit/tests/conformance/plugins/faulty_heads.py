"""Plugins that are wrong about what is there: short images, nothing declared, more than was asked for."""

import struct
import zipfile

from douane_plugin import Inspector, Reject


class ReadsFurther(Inspector):
    """Declares a sector, and reads the next one where there is a partition table."""

    reads = "head:512"

    def inspect(self, image):
        head = image.read(512)
        if head[510:512] == b"\x55\xaa" and len(head) == 512 and head[450] == 0xEE:
            if image.read(8) != b"EFI PART":
                raise Reject("no-gpt", "the image has a protective partition table and no other")


class ReadsNothing(Inspector):
    """Declares nothing, and iterates."""

    reads = "nothing"

    def inspect(self, image):
        for chunk in image:
            if b"EVIL" in bytes(chunk):
                raise Reject("evil", "the image holds something evil")


class FileInStream(Inspector):
    """Wants a file, where it is a zip."""

    def inspect(self, image):
        if image.read(4) == b"PK\x03\x04":
            with zipfile.ZipFile(image.file) as archive:
                return {"members": len(archive.namelist())}
        return None


class UnpacksShort(Inspector):
    """struct.unpack on a header that may be short."""

    reads = "head:512"

    def inspect(self, image):
        head = image.read(512)
        magic, version = struct.unpack(">4sI", head[:8])
        if magic == b"QFI\xfb" and version < 3:
            raise Reject("old-qcow2", "the image is an old qcow2; convert it with compat=1.1")


class DeepShort(Inspector):
    """Crashes on a header that is cut short behind its magic alone."""

    def inspect(self, image):
        if image.read(8) != b"vhdxfile":
            return None
        image.read(56)
        creator = image.read(512).decode("utf-16-le")
        sequence = struct.unpack("<Q", image.read(8))[0]
        return {"creator": creator[:10].replace("\0", ""), "sequence": sequence & 0xFFFF}


class EmptyAverage(Inspector):
    """Divides by the number of bytes."""

    def inspect(self, image):
        total = count = 0
        for chunk in image:
            total += sum(chunk[:64])
            count += len(chunk[:64])
            break
        return {"big": total / count > 128}


class FirstByte(Inspector):
    """image.read(1)[0]."""

    reads = "head:16"

    def inspect(self, image):
        if image.read(1)[0] == 0x7F:
            raise Reject("elf", "a program is not a disk image")


class SizeIsThere(Inspector):
    """Compares the size, which may not be known."""

    reads = "nothing"

    def inspect(self, image):
        if image.size > 100 << 30:
            raise Reject("too-large", "images of more than 100 GiB are not taken here")


class NameIsThere(Inspector):
    """The name may be None."""

    reads = "nothing"

    def inspect(self, image):
        if image.name.endswith(".iso"):
            raise Reject("iso", "installation media are not taken here")


class PropertyIsThere(Inspector):
    """The property may be missing."""

    reads = "nothing"

    def inspect(self, image):
        if image.properties["os_distro"] not in ("debian", "ubuntu"):
            raise Reject("distro", "only Debian and Ubuntu are taken here")


class PropertyIsNumber(Inspector):
    """The property is any text."""

    reads = "nothing"

    def inspect(self, image):
        if int(image.properties.get("hw_cpu_cores", "1")) > 64:
            raise Reject("cores", "no more than 64 cores can be asked for")


class ReadsForEver(Inspector):
    """Waits for a full header."""

    def inspect(self, image):
        head = b""
        while len(head) < 512:
            head += image.read(512 - len(head))
        return {"boot": head[510:512] == b"\x55\xaa"}


class LoopsOnLength(Inspector):
    """A chain of records: a length of zero is never left."""

    def inspect(self, image):
        data = image.read(65536)
        if data[:4] != b"CHNK":
            return None
        at, count = 4, 0
        while at + 4 <= len(data):
            at += int.from_bytes(data[at : at + 4], "little")
            count += 1
        return {"records": count}


class ConfiguredOnImage(Inspector):
    """The constructor wants the image."""

    def __init__(self):
        self.limit = self.image.size // 2

    def inspect(self, image):
        image.read(self.limit)
