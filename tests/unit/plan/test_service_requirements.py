"""What an installation has: requirements/service.txt for the machine and the container image, and its programs."""

from __future__ import annotations

import re
import tomllib

from douane.plan.builtin import NEEDS
from support.doc_pages import TOP

AUTHOR = "author"
"""For who writes plugins, not for a service."""

PACKAGES = {"qemu-img": "qemu-utils", "gpgv": "gpgv"}
"""Debian's, by program."""


def test_the_service_has_the_libraries_of_all_extras() -> None:
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (TOP / "requirements" / "service.txt").read_text(), re.MULTILINE))
    extras = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lines = [line for name, lines in extras.items() if name != AUTHOR for line in lines]
    assert {re.split(r"[\[>=<; ]", line)[0] for line in lines} - pinned == set()


def test_the_container_image_has_the_programs_of_all_built_in_plugins() -> None:
    programs = {name for needs in NEEDS.values() for names in needs.programs_by_grant.values() for name in names}
    programs |= {name for needs in NEEDS.values() for name in needs.programs}
    assert programs == set(PACKAGES)
    final = (TOP / "deploy" / "container" / "Containerfile").read_text().rpartition("\nFROM ")[2]
    assert {package for package in PACKAGES.values() if not re.search(rf"\b{package}\b", final)} == set()
