"""All inspectors of what is in an image have the setting `unread`, and it means the same in each."""

from __future__ import annotations

import inspect
import re
import socket
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from douane.plan.builtin import BUILT_IN
from douane.plugins.baseline import Baseline
from douane.plugins.clamav import ClamAv
from douane.plugins.packages import Packages
from douane.plugins.policy import GuestPolicyRules
from douane.plugins.secrets import Secrets
from douane.plugins.yara import Yara
from douane_plugin.testing import Address, WrongConfiguration, run
from support.clamd_servers import answer_probes, receive, small_server
from support.doc_pages import page

RULES = 'rule planted { strings: $a = "PLANTED" condition: $a }'
CLAMD = "AlertExceedsMax yes\nAlertEncrypted yes\n"
INSPECTORS: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "baseline": (Baseline, {"rules": {"unknown-system": "allow"}}, {}),
    "guest-policy": (GuestPolicyRules, {"require": "true"}, {}),
    "packages": (Packages, {}, {}),
    "secrets": (Secrets, {}, {}),
    "yara": (Yara, {}, {"rules": RULES}),
    "clamav": (ClamAv, {"max_database_age": 0}, {"conf": CLAMD}),
}
PAGES = {"guest-policy": "policy"}
ENCRYPTED = b"LUKS\xba\xbe\x00\x01".ljust(1 << 20, b"\0")


def answer_version(connection: socket.socket) -> None:
    """A clamd that is sent no file."""
    if not receive(connection, len(b"zIDSESSION\0zVERSION\0")):
        return  # the configuration was wrong
    connection.sendall(b"1: ClamAV 1.4.3/1/Mon Dec  1 09:48:01 2025\0")
    answer_probes(connection)
    receive(connection, len(b"zEND\0"))


@pytest.fixture(scope="module")
def clamd() -> Iterator[Address]:
    with TemporaryDirectory(dir="/tmp") as folder, small_server(Path(folder), answer_version) as path:
        yield Address(f"unix:{path}")


def test_the_inspectors_with_this_setting_are_all_that_look_into_the_guest() -> None:
    looking = set()
    for name, target in BUILT_IN.items():
        module, _, attribute = target.partition(":")
        plugin = getattr(import_module(module), attribute)
        if plugin.reads.startswith(("guest", "files")):
            looking.add(name)
            assert inspect.signature(plugin).parameters["unread"].default == "incomplete", name
    assert looking == set(INSPECTORS)


@pytest.mark.parametrize("name", INSPECTORS)
def test_what_is_unread_is_incomplete_and_with_warn_a_warning(name: str, clamd: Address) -> None:
    plugin, config, texts = INSPECTORS[name]
    grants = {**texts, "clamd": clamd} if name == "clamav" else texts
    result = run(plugin, ENCRYPTED, config=config, grants=grants)
    assert result.outcome == "incomplete", result
    warned = run(plugin, ENCRYPTED, config={**config, "unread": "warn"}, grants=grants)
    assert warned.outcome == "accepted", warned
    assert "guest-encrypted" in [warning.code for warning in warned.warnings]
    assert warned.properties["warnings"] == len(warned.warnings)
    with pytest.raises(WrongConfiguration, match="unread"):
        run(plugin, ENCRYPTED, config={**config, "unread": "allow"}, grants=grants)


@pytest.mark.parametrize("name", INSPECTORS)
def test_the_page_of_each_has_it(name: str) -> None:
    assert re.search(
        r"^\| `unread` \| string \| `\"incomplete\"` \|", page(f"docs/inspectors/{PAGES.get(name, name)}.md"), re.M
    )
