"""The digest of a plan as it ran."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from douane.host.base import PluginProcess


def plan_digest(processes: Sequence[PluginProcess]) -> str:
    """SHA-256 (hex) of a plan by its processes: in order, their settings and their code."""
    digest = hashlib.sha256()
    for process in processes:
        spec = process.spec
        settings = msgspec.json.encode(msgspec.structs.replace(spec, config={}, texts={}, base=""), order="sorted")
        code = process.plugin.code.code_sha256
        digest.update(b"\0".join((settings, spec.config_digest().encode(), code.encode())))
    return digest.hexdigest()
