"""What the detection corpus plants for `yara` and `clamav`: marks at odd places, in archives, and in a journal."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import re
import subprocess
import tarfile
import zipfile
import zlib
from pathlib import Path

MARK = b"a text that the rules of the corpus describe"
RULES = f'rule planted {{ strings: $a = "{MARK.decode()}" condition: $a }}'
MIB = 1 << 20
BLOCK = 4096
IN_JOURNAL = tuple(f"/var/journal/late-{number}" for number in range(4))
"""Files whose content is only in the journal of the file system."""


def marked_files() -> dict[str, bytes]:
    """A mark at the begin, the end, the borders of blocks, chunks and windows, and in files of odd names."""
    lengths = (0, 1, 511, 512, 4095, 4096, 65535, 65536, MIB - 1, MIB, 2 * MIB - 1)
    files = {f"/opt/marks/behind-{length}": bytes(length) + MARK for length in lengths}
    files |= {f"/opt/marks/before-{length}": MARK + b"x" * length for length in lengths}
    files |= {f"/opt/marks/over-{length}": b"y" * (length - 7) + MARK + b"z" for length in lengths if length > 7}
    names = ("a b", "ä", "日本", ".hidden", "a\nb", "a:b", "'", '"', "%s", "-rf", "x" * 200, "a\\b")
    files |= {f"/srv/names/{name}": MARK + str(number).encode() for number, name in enumerate(names)}
    files[f"/srv/{'d/' * 40}deep"] = MARK + b"deep"
    return files


def archives(mark: bytes) -> dict[str, bytes]:
    """Archives with a file that has the mark, by path."""
    body = b"text before it\n" * 20 + mark + b"\ntext behind it"
    packed = {
        "stored.zip": zipped(body, zipfile.ZIP_STORED),
        "deflated.zip": zipped(body),
        "bzip2.zip": zipped(body, zipfile.ZIP_BZIP2),
        "plain.tar": tarred(body),
        "gzip.tar.gz": gzip.compress(tarred(body)),
        "bzip2.tar.bz2": bz2.compress(tarred(body)),
        "xz.tar.xz": lzma.compress(tarred(body)),
        "file.gz": gzip.compress(body),
        "file.bz2": bz2.compress(body),
        "file.xz": lzma.compress(body),
        "zip-in-zip.zip": zipped(zipped(body)),
        "tar-in-zip.zip": zipped(gzip.compress(tarred(body))),
        "zip-in-tar.tar.gz": gzip.compress(tarred(zipped(body))),
        "three.zip": zipped(zipped(zipped(body))),
        "gz-in-gz.gz": gzip.compress(gzip.compress(body)),
        "library.jar": zipped(body, name="META-INF/a.class"),
        "program-and.zip": b"#!/bin/sh\nexit 0\n" + b"\n" * 500 + zipped(body),
        "mail.eml": mail(body),
        "paper.pdf": pdf(body),
        "no-name": zipped(body + b"."),
    }
    return {f"/srv/archives/{name}": data for name, data in packed.items()}


def zipped(body: bytes, method: int = zipfile.ZIP_DEFLATED, name: str = "inner") -> bytes:
    """A zip with one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo(name), body, method)
    return stream.getvalue()


def tarred(body: bytes) -> bytes:
    """A tar with one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("inner")
        member.size = len(body)
        archive.addfile(member, io.BytesIO(body))
    return stream.getvalue()


def mail(body: bytes) -> bytes:
    """A message with an attachment."""
    return (
        b"From: a@example.org\nTo: b@example.org\nSubject: it\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="line"\n\n--line\nContent-Type: text/plain\n\nHello\n--line\n'
        b'Content-Type: application/octet-stream; name="it.bin"\nContent-Transfer-Encoding: base64\n'
        b'Content-Disposition: attachment; filename="it.bin"\n\n' + base64.encodebytes(body) + b"--line--\n"
    )


def pdf(body: bytes) -> bytes:
    """A document with a compressed stream."""
    data = zlib.compress(body)
    return (
        b"%PDF-1.4\n1 0 obj\n<< /Length "
        + str(len(data)).encode()
        + b" /Filter /FlateDecode >>\nstream\n"
        + data
        + b"\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
    )


def make_disk(folder: Path, files: dict[str, bytes], size: str = "96M") -> Path:
    """An ext4 image with these files; those of `IN_JOURNAL` get their mark by a journal that was not replayed."""
    image, tree = folder / "disk.img", folder / "tree"
    for path, content in {**files, **dict.fromkeys(IN_JOURNAL, b"x" * BLOCK)}.items():
        place = tree / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    subprocess.run(["mkfs.ext4", "-q", "-b", str(BLOCK), "-d", tree, image, size], check=True)
    commands = ["jo"]
    for number, path in enumerate(IN_JOURNAL):
        shown = subprocess.run(["debugfs", "-R", f"blocks {path}", image], capture_output=True, check=True).stdout
        block = re.fullmatch(rb"(\d+) *\n?", shown)
        assert block is not None, shown
        late = folder / f"block-{number}"
        late.write_bytes((MARK + b" %d" % number).ljust(BLOCK, b"\n"))
        commands.append(f"jw -b {block[1].decode()} {late}")
    (folder / "commands").write_text("\n".join([*commands, "jc", ""]))
    subprocess.run(["debugfs", "-w", "-f", folder / "commands", image], capture_output=True, check=True)
    return image
