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
from .guest import Guest, open_guest
from .listing import Request, as_json, as_row, listing, quoted, tree_of, unread_as_json
from .source import FileSource

UNREAD = 3
"""The exit status if anything could not be read."""
FAILED = 1
INTERRUPTED = 130
"""As a shell shows a program that SIGINT has ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        with open_image(options.image) as guest:
            return _run(guest, options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"douane-guest: {options.image}: {error.strerror or error}", file=sys.stderr)
        return FAILED


def _run(guest: Guest, options: argparse.Namespace) -> int:
    """The command's exit status. A path that is not there may be in what could not be read."""
    try:
        status: int = options.run(guest, options)
        return status
    except BrokenPipeError:
        raise
    except (OSError, GuestError) as error:
        finish(guest, sys.stdout.buffer, in_json=getattr(options, "json", False))
        place = "" if getattr(error, "filename", None) is None else f"{quoted(str(error.filename))}: "  # type: ignore[union-attr]
        print(f"douane-guest: {place}{getattr(error, 'strerror', None) or error}", file=sys.stderr)
        return UNREAD if len(guest.unread) or isinstance(error, GuestError) else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="douane-guest", description="See a disk image as its guest does.")
    parser.add_argument("image", metavar="IMAGE")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    ls = commands.add_parser("ls", help="list a folder of the system, or all volumes")
    ls.add_argument("--volume", help="list this volume, without what the system mounts")
    ls.add_argument("path", nargs="?", metavar="PATH", help="in the system; without it, all volumes")
    ls.add_argument("--recursive", action="store_true", help="with all that is below")
    ls.add_argument("--digest", action="store_true", help="with the SHA-256 of files")
    ls.add_argument("--json", action="store_true", help="an object a line")
    ls.set_defaults(run=run_ls)
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
    for line in listing(guest, Request(options.path, options.volume, options.recursive, options.digest)):
        output.write(as_json(line) if options.json else as_row(line, digest=options.digest))
    return finish(guest, output, in_json=options.json)


def finish(guest: Guest, output: BinaryIO, *, in_json: bool) -> int:
    """Print what could not be read, in JSON to the output, else to the errors; the exit status."""
    output.flush()
    for part in guest.unread:
        if in_json:
            output.write(unread_as_json(part))
        else:
            print(f"unread: {quoted(part.where)}: {part.why} ({part.code})", file=sys.stderr)
    output.flush()
    return UNREAD if len(guest.unread) else 0


def run_cat(guest: Guest, options: argparse.Namespace) -> int:
    """Write a file."""
    file = tree_of(guest, options.volume).open(options.path)
    while data := file.read(1 << 20):
        sys.stdout.buffer.write(data)
    return finish(guest, sys.stdout.buffer, in_json=False)


def run_os(guest: Guest, options: argparse.Namespace) -> int:
    """Print which system it is."""
    fields = guest.os
    if options.json:
        sys.stdout.buffer.write(json.dumps(fields).encode() + b"\n")
    else:
        for name, value in fields.items():
            sys.stdout.buffer.write(f"{name}={json.dumps(value)}\n".encode())
    return finish(guest, sys.stdout.buffer, in_json=options.json)


def run_packages(guest: Guest, options: argparse.Namespace) -> int:
    """Print the packages."""
    for package in guest.packages(everywhere=options.everywhere):
        if options.json:
            sys.stdout.buffer.write(json.dumps(package._asdict()).encode() + b"\n")
        else:
            sys.stdout.buffer.write(" ".join(map(quoted, package[:4])).encode() + b"\n")
    return finish(guest, sys.stdout.buffer, in_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
