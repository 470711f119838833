"""Rules for Glance's property protections that keep Douane's properties to Douane.

Services may write them, too: when Nova or Cinder makes an image of a server or a volume, it copies the properties of
the image that the server came from, with the user's token and its own. Douane replaces them when the bytes arrive.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from douane.errors import PlanError
from douane.glance.internals import ROLE

SERVICE = "service"
"""The role of the services' own tokens."""
POLICY = "douane_properties"
"""The name of the policy, if protections are written as policies."""
POLICY_RULE = f'"{POLICY}": "role:{ROLE} or role:{SERVICE}"'
"""The line for Glance's policy file."""

_EVERYBODY = "@"
_BEGIN = "# Written by `douane glance protection`"
_END = "# The end of what `douane glance protection` has written.\n"
_OWN = re.compile(rf"^{_BEGIN}.*?^{_END}", re.MULTILINE | re.DOTALL)
_OPERATIONS = ("create", "read", "update", "delete")


def protection_rules(plugins: Collection[str], existing: str | None, *, by_policies: bool) -> str:
    """The text of the property protection file: Douane's rules, then the `existing` ones.

    Glance applies the first rule whose expression matches a property, and allows nobody a property without a rule.
    Without `existing` rules, everybody may do everything with all other properties, as without protections.
    """
    writers = POLICY if by_policies else f"{ROLE},{SERVICE}"
    names = "|".join(re.escape(name) for name in sorted(plugins))
    expressions = ["^douane_", *([rf"^({names})[.]"] if names else [])]
    head = f"{_BEGIN}: only Douane and services write what Douane has found in an image.\n"
    if by_policies:
        head += f"# The policy file needs: {POLICY_RULE}\n"
    site_rules = _OWN.sub("", existing or "").strip()
    sections = [_section(expression, writers, _EVERYBODY) for expression in expressions]
    if not site_rules:
        sections.append(_section(".*", _EVERYBODY, _EVERYBODY))
    return head + "\n" + "\n".join(sections) + _END + (f"\n{site_rules}\n" if site_rules else "")


def existing_rules(conf: Any) -> str | None:
    """The text of the property protection file that Glance is configured with; None if there is none.

    Raises PlanError if it cannot be read.
    """
    if not conf.property_protection_file:
        return None
    path = str(conf.find_file(conf.property_protection_file) or conf.property_protection_file)
    try:
        text = Path(path).read_text()
    except (OSError, ValueError) as error:
        raise PlanError(f"property_protection_file, {path}, cannot be read: {error}") from error
    if not text.strip():
        raise PlanError(
            f"property_protection_file, {path}, is empty (a shell empties what `>` names): restore it first"
        )
    return text


def write_rules(path: str, text: str) -> None:
    """Write the file `path` in one step, as Glance may read it at any time; the mode of a file that exists stays.

    Raises PlanError.
    """
    target = Path(os.path.realpath(path))
    try:
        fd, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(fd, "w") as file:
                file.write(text)
                os.fchmod(fd, stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise PlanError(f"{path} cannot be written: {error.strerror}") from error


def _section(expression: str, writers: str, readers: str) -> str:
    permissions = {operation: readers if operation == "read" else writers for operation in _OPERATIONS}
    return f"[{expression}]\n" + "".join(f"{operation} = {who}\n" for operation, who in permissions.items())
