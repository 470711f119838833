"""``python -m douane_guest IMAGE ls|cat|os|packages``: see a disk image as its guest does."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from .errors import GuestError
from .filesystems.base import FILE, FOLDER
from .guest import Guest, open_guest
from .source import FileSource
from .volume import Item

UNREAD = 3
"""The exit status if anything could not be read."""
FAILED = 1
INTERRUPTED = 130
"""As a shell shows a program that SIGINT has ended."""

USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        with open_image(options.image) as guest:
            status: int = options.run(guest, options)
            return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        place = options.image if error.filename is None else error.filename
        print(f"douane-guest: {place}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    except GuestError as error:
        print(f"douane-guest: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="douane-guest", description="See a disk image as its guest does.")
    parser.add_argument("image", metavar="IMAGE")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("ls", help="list a folder of the system, or all volumes")
    listing.add_argument("path", nargs="?", metavar="PATH", help="in the system; without it, all volumes")
    listing.add_argument("--recursive", action="store_true", help="with all that is below")
    listing.add_argument("--digest", action="store_true", help="with the SHA-256 of files")
    listing.add_argument("--json", action="store_true", help="an object a line")
    listing.set_defaults(run=run_ls)
    cat = commands.add_parser("cat", help="write a file of the system to the output")
    cat.add_argument("path", metavar="PATH")
    cat.add_argument("--volume", help="the volume in which the path is, without what the system mounts")
    cat.set_defaults(run=run_cat)
    system = commands.add_parser("os", help="the fields of os-release")
    system.add_argument("--json", action="store_true", help="as an object")
    system.set_defaults(run=run_os)
    packages = commands.add_parser("packages", help="the packages that are installed")
    packages.add_argument("--everywhere", action="store_true", help="look for those of languages in every folder")
    packages.add_argument("--json", action="store_true", help="an object a line")
    packages.set_defaults(run=run_packages)
    return parser


@contextmanager
def open_image(path: str) -> Iterator[Guest]:
    """The guest in the file of an image."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield open_guest(FileSource(fd))
    finally:
        os.close(fd)


def run_ls(guest: Guest, options: argparse.Namespace) -> int:
    """List."""
    output = sys.stdout.buffer
    for item in _items(guest, options.path, options.recursive):
        try:
            line = entry_of(item, digest=options.digest)
        except GuestError as error:
            guest.unread.add_error(f"{item.volume.name}:{item.path}", error)
            line = entry_of(item, digest=False, link=False)
        output.write(as_json(line) if options.json else as_text(line))
    return finish(guest, output, in_json=options.json)


def _items(guest: Guest, path: str | None, recursive: bool) -> Iterator[Item]:
    if path is None:
        for volume in guest.volumes:
            tree = guest.tree(volume.name)
            yield from tree.walk() if recursive else tree.items()
    else:
        item = guest.stat(path)
        if item.node.kind == FOLDER:
            yield from guest.walk(path) if recursive else guest.root.items(path)
        else:
            yield item


def entry_of(item: Item, *, digest: bool, link: bool = True) -> dict[str, object]:
    """What is printed of an object."""
    node = item.node
    entry: dict[str, object] = {
        "volume": item.volume.name,
        "path": item.path,
        "kind": node.kind,
        "mode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
        "size": node.size,
        "mtime_ns": node.mtime_ns,
    }
    target = item.link if link else None
    if target is not None:
        entry["link"] = target
    if digest and node.kind == FILE:
        entry["sha256"] = item.open().sha256()
    return entry


def as_json(line: dict[str, object]) -> bytes:
    """An object on a line, in ASCII: bytes that are no UTF-8 are lone surrogates."""
    return json.dumps(line).encode() + b"\n"


def as_text(line: dict[str, object]) -> bytes:
    """A line for people. A name with a newline or another control character is quoted."""
    path = str(line["path"])
    if not path.isprintable():
        path = json.dumps(path)
    link = f" -> {line['link']}" if "link" in line else ""
    link = link if link.isprintable() else json.dumps(link)
    words = [
        f"{line['kind']:6}",
        f"{line['mode']:05o}",
        f"{line['uid']}:{line['gid']}".ljust(11),
        f"{line['size']:>12}",
    ]
    if "sha256" in line:
        words.append(str(line["sha256"]))
    return " ".join([*words, f"{line['volume']}:{path}{link}"]).encode("utf-8", "surrogateescape") + b"\n"


def finish(guest: Guest, output: BinaryIO, *, in_json: bool) -> int:
    """Print what could not be read, in JSON to the output, else to the errors; the exit status."""
    output.flush()
    for part in guest.unread:
        if in_json:
            output.write(as_json({"unread": part.where, "code": part.code, "why": part.why}))
        else:
            where = part.where if part.where.isprintable() else json.dumps(part.where)
            print(f"unread: {where}: {part.why} ({part.code})", file=sys.stderr)
    output.flush()
    return UNREAD if len(guest.unread) else 0


def run_cat(guest: Guest, options: argparse.Namespace) -> int:
    """Write a file."""
    try:
        tree = guest.root if options.volume is None else guest.tree(options.volume)
    except KeyError:
        print(f"douane-guest: there is no volume {options.volume!r}", file=sys.stderr)
        return USAGE
    file = tree.open(options.path)
    while data := file.read(1 << 20):
        sys.stdout.buffer.write(data)
    return finish(guest, sys.stdout.buffer, in_json=False)


def run_os(guest: Guest, options: argparse.Namespace) -> int:
    """Print which system it is."""
    fields = guest.os
    if options.json:
        sys.stdout.buffer.write(as_json(dict(fields)))
    else:
        for name, value in fields.items():
            sys.stdout.buffer.write(f"{name}={json.dumps(value)}\n".encode())
    return finish(guest, sys.stdout.buffer, in_json=options.json)


def run_packages(guest: Guest, options: argparse.Namespace) -> int:
    """Print the packages."""
    for package in guest.packages(everywhere=options.everywhere):
        if options.json:
            sys.stdout.buffer.write(as_json(dict(package._asdict())))
        else:
            words = " ".join(part if part.isprintable() else json.dumps(part) for part in package[:4])
            sys.stdout.buffer.write(words.encode("utf-8", "backslashreplace") + b"\n")
    return finish(guest, sys.stdout.buffer, in_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
