"""`blocked_digests`, with the file that the operator grants it."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from example_plugins import MIB, TIERS, Check

IMAGE = random.Random(5).randbytes(2 * MIB + 7)
DIGEST = hashlib.sha256(IMAGE).hexdigest()


def plan(rules: Path) -> str:
    return (
        '[[plugin]]\nname = "blocked"\nuse = "plugins/blocked_digests.py:BlockedDigests"\n'
        f'grants = {{ rules = "file:{rules}" }}\n'
    )


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        (f"# from the security team\n\n{DIGEST}  old.qcow2\n", True),
        (f"{'0' * 64} *a\r\n{DIGEST.upper()}", True),
        (f"#{DIGEST}\n", False),
        ("", False),
    ],
)
def test_an_image_whose_digest_is_in_the_file_is_refused(
    check: Check, tmp_path: Path, tier: str, rules: str, refused: bool
) -> None:
    file = tmp_path / "rules"
    file.write_text(rules)
    assert check(IMAGE, plan(file), tier=tier).answer == (
        ("refused", "blocked-image") if refused else ("accepted", None)
    )
    assert check(IMAGE + b"\0", plan(file), tier=tier).answer == ("accepted", None)


@pytest.mark.parametrize("line", ["abc", "0" * 63, "0" * 65, "g" * 64, "é" * 32, "0" * 10_000, "00 " * 32])
def test_an_invalid_line_stops_the_start_and_is_named(check: Check, tmp_path: Path, line: str) -> None:
    file = tmp_path / "rules"
    file.write_text(f"{DIGEST}\n# fine\n{line}\n{DIGEST}\n")
    run = check(IMAGE, plan(file))
    assert (run.code, run.report["verdicts"]) == (2, [])
    assert "line 3" in run.stderr


def test_without_the_grant_no_image_is_accepted(check: Check) -> None:
    run = check(IMAGE, plan(Path("none")).partition("grants")[0])
    assert run.code == 3
    assert "'rules'" in run.verdict("blocked")["detail"]
