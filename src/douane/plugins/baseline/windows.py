"""What can be told of Windows without its registry of accounts: answer files, sysprep, keys of OpenSSH."""

from __future__ import annotations

import re
from collections.abc import Iterator

from douane_guest.facts.ssh import parse_line
from douane_guest.tree import try_read
from douane_guest.volume import to_text

from .passwords import BUILDERS
from .rules import Finding
from .system import System, item_place

ANSWERS = (
    *("Windows/Panther/unattend.xml", "Windows/Panther/Unattend/unattend.xml", "Windows/Panther/autounattend.xml"),
    *("Windows/System32/Sysprep/unattend.xml", "Windows/System32/Sysprep/Panther/unattend.xml"),
    *("unattend.xml", "autounattend.xml", "Autounattend.xml", "Unattend.xml"),
)
STATE = "Windows/Setup/State/State.ini"
GENERALIZED = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
HOST_KEYS = "ProgramData/ssh/ssh_host_*_key"
KEYS = ("ProgramData/ssh/administrators_authorized_keys", "Users/*/.ssh/authorized_keys")
MAX_BYTES = 1 << 20
_PASSWORD = re.compile(
    r"<(?:\w+:)?(\w*Password)\b[^<>]*>\s*(?:<(?:\w+:)?Value\b[^<>]*>\s*)?([^<\s][^<]*)", re.IGNORECASE
)
_REMOVED = "*sensitive*data*deleted*"
"""What Windows' setup puts in the place of passwords when it is done."""


def check_windows(system: System) -> Iterator[Finding]:
    """What is wrong with an installation of Windows."""
    for item in {item.node.ref: item for item in system.items(*ANSWERS)}.values():
        if item.node.kind == "file" and (name := password_in(_text(system, item.path))):
            yield Finding("unattend-password", item_place(item), f"has a password ({name}); remove the file")
    if GENERALIZED not in _text(system, STATE):
        yield Finding("sysprep", system.place(STATE), "Windows is not generalized; run sysprep /generalize /oobe")
    for item in system.items(HOST_KEYS):
        if item.node.kind == "file" and item.node.size:
            yield Finding("host-keys", item_place(item), "is a private key of the SSH server; remove it")
    for item in system.items(*KEYS):
        for line in _text(system, item.path).split("\n"):
            if key := parse_line(line):
                yield Finding("authorized-keys", item_place(item), f"the key {key.fingerprint} opens an account")
    for item in system.items("Users/*"):
        if item.path.rpartition("/")[2].lower() in BUILDERS:
            yield Finding("builder-account", item_place(item), "is the home of a builder; remove the account")


def _text(system: System, path: str) -> str:
    """The text of a file; Windows writes UTF-16, too."""
    data = try_read(system.tree, path, MAX_BYTES) or b""
    return data.decode("utf-16", "replace") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else to_text(data)


def password_in(text: str) -> str:
    """The element of the first password; empty if there is none."""
    for match in _PASSWORD.finditer(text):
        if match[2].strip().lower() != _REMOVED:
            return match[1]
    return ""
