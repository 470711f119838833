"""The page that says what is not read names a test for each, and these tests exist."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs/guest-unread.md"


def test_every_test_that_the_page_names_exists() -> None:
    names = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE.read_text())
    missing = [f"{file}::{name}" for file, name in names if f"\ndef {name}(" not in (HERE / file).read_text()]
    assert missing == []
    assert len(names) > 60
