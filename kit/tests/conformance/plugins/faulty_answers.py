"""Plugins that answer in a wrong way, or not always in the same."""

import datetime
import hashlib
import json
import random
import struct
import time

from douane_plugin import Inspector, Reject


class BoolAnswer(Inspector):
    """Returns whether it is fine."""

    def inspect(self, image):
        return image.read(4) != b"EVIL"


class BytesProperty(Inspector):
    """A value that is bytes."""

    def inspect(self, image):
        return {"magic": image.read(4)}


class UnboundedText(Inspector):
    """All lines of the image's first part, as one text."""

    def inspect(self, image):
        head = image.read(65536)
        return {"text": "".join(chr(byte) for byte in head if 32 <= byte < 127)}


class UnsignedNumber(Inspector):
    """An unsigned integer of 64 bits does not fit a signed one."""

    def inspect(self, image):
        head = image.read(16)
        if len(head) < 16:
            return None
        return {"serial": struct.unpack("<QQ", head)[1]}


class NotFinite(Inspector):
    """A float from the image may be no number."""

    def inspect(self, image):
        head = image.read(8)
        return {"scale": struct.unpack("<d", head)[0]} if len(head) == 8 else None


class ManyPartitions(Inspector):
    """A property for each of up to 128 partitions."""

    def inspect(self, image):
        head = image.read(34 * 512)
        if head[512:520] != b"EFI PART":
            return {}
        names = {}
        for number in range(128):
            entry = head[1024 + 128 * number :][:128]
            if entry[:16].strip(b"\0"):
                names[f"partition_{number}"] = entry[56:].decode("utf-16-le", "replace").strip("\0")[:30]
        return names


class OddKey(Inspector):
    """A key with capital letters and a dash."""

    def inspect(self, image):
        if image.read(2) == b"\x1f\x8b":
            return {"Content-Encoding": "gzip"}
        return None


class NulInText(Inspector):
    """A label with what pads it."""

    def inspect(self, image):
        head = image.read(32)
        return {"label": head[:16].decode("latin-1")}


class BadCode(Inspector):
    """A code made of what was declared."""

    reads = "nothing"

    def inspect(self, image):
        if image.disk_format not in ("raw", "qcow2", None):
            raise Reject(f"format-{image.disk_format}", f"images in the format {image.disk_format} are not taken here")


class ExceptionText(Inspector):
    """The text of the exception is what the tenant is told."""

    def inspect(self, image):
        head = image.read(4096)
        if head[:1] == b"{":
            try:
                json.loads(head)
            except ValueError as error:
                raise Reject("bad-json", str(error)) from error


class SaysOneWord(Inspector):
    """A message that is none."""

    def inspect(self, image):
        if image.read(4) == b"KDMV":
            raise Reject("vmdk", "vmdk")


class Lottery(Inspector):
    """One of twenty is looked at."""

    def inspect(self, image):
        if random.random() < 0.05 and image.read(4) != b"QFI\xfb":
            raise Reject("sample", "the sample that was taken of the image is wrong")


class OnSundays(Inspector):
    """Decides by the clock."""

    reads = "nothing"

    def inspect(self, image):
        if datetime.datetime.now().hour % 2:
            raise Reject("odd-hour", "images are taken in even hours only")


class StampsTime(Inspector):
    """A property that is the time."""

    reads = "nothing"

    def inspect(self, image):
        return {"checked_at": int(time.time())}


class HashOrder(Inspector):
    """Tells the first one of a set of texts."""

    WORDS = frozenset(("alpha-mark", "beta-mark", "gamma-mark", "delta-mark"))

    def inspect(self, image):
        data = image.read(4096)
        for word in self.WORDS:
            if word.encode() in data:
                raise Reject("word", f"the word {word} is not allowed in an image")


class HashOfText(Inspector):
    """hash() of a text is another one in each process."""

    def inspect(self, image):
        return {"bucket": hash(image.read(64).hex()) % 16}


class ClassList(Inspector):
    """What was seen is kept in the class."""

    digests = []

    def inspect(self, image):
        digest = hashlib.sha256(image.read(4096)).hexdigest()
        if digest in self.digests:
            raise Reject("duplicate", "this image was uploaded before")
        self.digests.append(digest)


class DefaultDict(Inspector):
    """A default argument that grows."""

    def inspect(self, image):
        return {"kinds": self.count(bytes(image.read(1)))}

    def count(self, key, kinds={}):  # noqa: B006  # that is the fault
        kinds[key] = True
        return len(kinds)


class AcceptsErrors(Inspector):
    """Whatever goes wrong is an accept."""

    reads = "head:65536"

    def inspect(self, image):
        try:
            head = image.read(512)
            (offset,) = struct.unpack_from("<I", head, 60)
            if head[offset] == 0x4D:
                raise Reject("dos", "a program is not a disk image")
        except Exception:
            return


class Sleeps(Inspector):
    """Waits before it answers."""

    def inspect(self, image):
        time.sleep(2)
        return {"ok": image.read(1) != b"x"}


class SleepsEachChunk(Inspector):
    """A pause for each chunk."""

    def inspect(self, image):
        for _ in image:
            time.sleep(0.02)


class Chatters(Inspector):
    """Prints every sector."""

    def inspect(self, image):
        for window in image.windows(512):
            print(bytes(window).hex())


class LogsEachChunk(Inspector):
    """A line for each chunk."""

    def inspect(self, image):
        for chunk in image:
            self.log.info("got a chunk of %d bytes at %d", len(chunk), image.offset)


class NameOfNothing(Inspector):
    """A branch that nobody has ever run."""

    def inspect(self, image):
        if image.read(6) == b"LUKS\xba\xbe":
            raise Rejected("luks", "encrypted images are not taken here")  # noqa: F821  # that is the fault


class FailsAlways(Inspector):
    """A name that was never set, on the only way through the code."""

    def inspect(self, image):
        return {"kind": kind_of_image}  # noqa: F821


class NeedsApproval(Inspector):
    """Refuses all but the images with one property, which no other text of the code holds."""

    reads = "nothing"

    def __init__(self, approval: str):
        self.approval = approval

    def inspect(self, image):
        if image.properties.get("approved_by", "").partition("/")[::2] != ("team", self.approval[::-1]):
            raise Reject("not-approved", "the image has no approval of the security team")
        return {"sectors": int(image.properties["sectors"])}


class LargeDisk(Inspector):
    """Takes for granted, in a branch that only large disks reach, that a property is declared."""

    reads = "findings"

    def inspect(self, image):
        size = image.findings.get("format" + "." + "virtual" + "_size", 0)
        if size > 5 << 30:
            return {"contact": image.properties["contact"]}
        return None
