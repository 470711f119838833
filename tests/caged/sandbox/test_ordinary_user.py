"""Douane needs no root: the sandboxes of an ordinary user hold as well."""

from __future__ import annotations

from douane import sandbox
from support.sandbox.public_python import run_as_ordinary_user


def test_a_sandbox_without_root_is_closed(tier: sandbox.Tier) -> None:
    completed = run_as_ordinary_user("support.sandbox.ordinary_user", tier.value)
    assert completed.stdout == "closed\n", completed.stderr
