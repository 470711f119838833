"""The table of built-in plugins: the name that is written under `use`, and its class; and what some of them need.

A new built-in plugin is a module (or a package) in `douane.plugins` and a line here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from douane.units import GiB, MiB

PACKAGE = "douane.plugins"

SHARED_PACKAGE = "douane_guest.headers"
"""What built-in plugins import of another distribution of ours; the digest of their code covers it."""

BUILT_IN = {
    "baseline": "douane.plugins.baseline:Baseline",
    "checksum": "douane.plugins.checksum:Checksum",
    "clamav": "douane.plugins.clamav:ClamAv",
    "convert": "douane.plugins.convert:Convert",
    "decompress": "douane.plugins.decompress:Decompress",
    "format": "douane.plugins.format:Format",
    "limits": "douane.plugins.limits:Limits",
    "oslo-format": "douane.plugins.oslo_format:OsloFormat",
    "ova": "douane.plugins.ova:Ova",
    "ova-any-order": "douane.plugins.ova:OvaAnyOrder",
    "packages": "douane.plugins.packages:Packages",
    "guest-policy": "douane.plugins.policy:GuestPolicyRules",
    "policy": "douane.plugins.policy:PolicyRules",
    "properties": "douane.plugins.properties:Properties",
    "provenance": "douane.plugins.provenance:Provenance",
    "qemu-info": "douane.plugins.qemu_info:QemuInfo",
    "secrets": "douane.plugins.secrets:Secrets",
    "signature": "douane.plugins.signature:Signature",
    "untar": "douane.plugins.untar:Untar",
    "yara": "douane.plugins.yara:Yara",
    "yara-stream": "douane.plugins.yara:YaraStream",
}


FILES_READER = "douane.plugins.guest_files:GuestFiles"
"""The reader of files, which the engine starts for the plugins with ``reads = "files"``. No plan names it: its output
is no image."""

GUEST_PACKAGE = "douane_guest"
_GUEST_READERS = (FILES_READER, *(BUILT_IN[name] for name in ("baseline", "guest-policy", "packages")))
GUEST_MODULES = frozenset(target.partition(":")[0] for target in _GUEST_READERS)
"""The modules of the built-in plugins that read guests by that package: the digest of their code covers it, so that a
new reader judges again what an older one has read."""


AS_RECEIVED = ("provenance", "signature")
"""Built-in plugins that verify what others have signed: the image as it was received, which a transform changes."""


JUDGES_BY_DAY = ("packages",)
"""Built-in plugins whose answer about the same image may be another one on another day: exceptions end, and support
does."""


def is_one_of(use: str, names: Collection[str]) -> bool:
    """True if `use` is one of these built-in plugins, by its name or as ``module:Class``."""
    return BUILT_IN.get(use, use) in {BUILT_IN[name] for name in names}


class Needs(msgspec.Struct, frozen=True):
    """What a built-in plugin needs: values for keys of its ``[[plugin]]`` table that the operator leaves out."""

    programs: tuple[str, ...] = ()
    scratch: int | None = None
    """Bytes."""

    memory: int | None = None
    """Bytes."""

    programs_by_grant: Mapping[str, tuple[str, ...]] = {}
    """The programs that it needs as well where the operator grants it something by that name."""


_QEMU_IMG = ("qemu-img",)

_CONVERSION_BYTES = 260 * GiB
"""An image and its result, each with a full disk of `max_virtual_size` (128 GiB) and the tables of its format. It is a
bound: only what is written takes space."""

_MEMORY = 512 * MiB
"""The processes of a conversion use up to 30 MiB (measured with qcow2, vhdx and vmdk of a disk of 1.3 GiB), but the
kernel's bound (RLIMIT_DATA) counts the stacks of qemu-img's threads as well, used or not."""

NEEDS = {
    "baseline": Needs(memory=_MEMORY),
    "convert": Needs(programs=_QEMU_IMG, scratch=_CONVERSION_BYTES, memory=_MEMORY),
    "clamav": Needs(memory=_MEMORY),
    "ova": Needs(memory=_MEMORY),
    "ova-any-order": Needs(memory=_MEMORY),
    "qemu-info": Needs(programs=_QEMU_IMG, memory=_MEMORY),
    "provenance": Needs(memory=_MEMORY),
    "policy": Needs(memory=_MEMORY),
    "guest-policy": Needs(memory=_MEMORY),
    "packages": Needs(memory=_MEMORY),
    "yara": Needs(memory=_MEMORY),
    "yara-stream": Needs(memory=_MEMORY),
    "secrets": Needs(memory=_MEMORY),
    "signature": Needs(memory=_MEMORY, programs_by_grant={"gpg": ("gpgv",)}),
}
"""The needs of built-in plugins for which the defaults of a ``[[plugin]]`` table are not meant."""


def needs_of(use: str, grants: Collection[str] = ()) -> dict[str, Any]:
    """The needs of the plugin that `use` names, by key of its table: those of a built-in plugin, under its name or as
    ``module:Class``, with the grants of these names; none for other plugins."""
    names = [name for name, target in BUILT_IN.items() if use in (name, target)]
    needs = next((NEEDS[name] for name in names if name in NEEDS), Needs())
    programs = {*needs.programs, *(name for grant in grants for name in needs.programs_by_grant.get(grant, ()))}
    values = {"programs": tuple(sorted(programs)), "scratch": needs.scratch, "memory": needs.memory}
    return {key: value for key, value in values.items() if value}
