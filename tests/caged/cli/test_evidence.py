"""`[evidence]`, `douane evidence` and `douane verify`: a summary goes out with an image, and is verified elsewhere."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support.program import Program

PLAN = """
[evidence]
key = "key.pem"
verifier = "https://images.example.org/douane"

[[plugin]]
name = "unpack"
use = "decompress"

[[plugin]]
name = "format"
use = "format"
config = {{ formats = ["{allow}"] }}
"""


@pytest.fixture
def plan(douane: Program) -> Path:
    """A plan that signs, with keys that openssl made."""
    folder = douane.place / "site"
    folder.mkdir()
    for words in (
        ["genpkey", "-algorithm", "ed25519", "-out", "key.pem"],
        ["pkey", "-in", "key.pem", "-pubout", "-out", "key.pub"],
    ):
        subprocess.run(["openssl", *words], cwd=folder, check=True)
    (folder / "key.pem").chmod(0o600)
    (folder / "plan.toml").write_text(PLAN.format(allow="raw"))
    return folder / "plan.toml"


def test_a_summary_is_verified_anywhere(douane: Program, plan: Path) -> None:
    import gzip

    packed = douane.place / "disk.gz"
    packed.write_bytes(gzip.compress(bytes(1 << 20)))
    image_id = douane.bring_in(packed, "--config", plan, "--disk-format", "raw")
    saved, summary, key = douane.place / "disk.raw", douane.place / "summary.json", plan.parent / "key.pub"
    assert douane.run("save", image_id, saved).code == 0
    printed = douane.run("evidence", image_id[:8])
    assert printed.code == 0, printed.stderr
    summary.write_bytes(printed.stdout)

    verified = douane.run("verify", saved, summary, "--key", key, "--json")
    assert (verified.code, verified.json["image"]) == (0, f"urn:uuid:{image_id}")
    assert [plugin["name"] for plugin in verified.json["predicate"]["douane_plugins"]] == ["unpack", "format"]
    assert len(verified.json["plan_sha256"]) == 64
    text = douane.run("verify", saved, summary, "--key", key, "--verifier", "https://images.example.org/douane")
    assert (text.code, text.text.splitlines()[1]) == (0, "verified\tyes")

    received = douane.run("verify", packed, summary, "--key", key)
    assert received.code == 1 and "the bytes that were received" in received.stderr
    saved.write_bytes(bytes((1 << 20) - 1) + b"x")
    refused = douane.run("verify", saved, summary, "--key", key, "--json")
    assert (refused.code, refused.json["verified"], refused.json["code"]) == (1, False, "summary-subject")
    assert douane.run("verify", saved, summary, "--key", summary).code == 2
    private = douane.run("verify", saved, summary, "--key", plan.parent / "key.pem")
    assert (private.code, "it is a private key" in private.stderr) == (2, True)
    assert douane.run("verify", douane.place / "missing", summary, "--key", key).code == 3


def test_the_digest_of_the_plan_is_that_which_douane_plan_shows(douane: Program, plan: Path, qcow2: Path) -> None:
    shown = douane.run("plan", "--config", plan, "--json").json
    assert shown["evidence"] == "https://images.example.org/douane"
    assert douane.run("check", qcow2, "--config", plan, "--json").json["plan_sha256"] == shown["sha256"]


def test_a_verifier_after_a_transform_is_pointed_out(douane: Program, plan: Path) -> None:
    grants = '{ keys = "file:key.pub", attestations = "file:key.pub" }'
    verifier = f'[[plugin]]\nname = "built"\nuse = "provenance"\ngrants = {grants}\n'
    plan.write_text(plan.read_text() + verifier)
    shown = douane.run("plan", "--config", plan)
    assert "built: stands after the transform unpack" in shown.text


def test_a_key_that_cannot_sign_stops_the_import_before_it_begins(douane: Program, plan: Path) -> None:
    (plan.parent / "key.pem").unlink()
    image = douane.place / "image"
    image.write_bytes(bytes(4096))
    result = douane.run("import", image, "--config", plan)
    assert (result.code, douane.images()) == (2, [])
    assert "key.pem cannot be read" in result.stderr


def test_a_refused_image_has_no_summary(douane: Program, plan: Path, qcow2: Path) -> None:
    result = douane.run("import", qcow2, "--config", plan, "--json")
    assert (result.code, result.json["summary"]) == (1, None)
    plain = douane.bring_in(qcow2)
    assert douane.run("evidence", plain).code == 3
    assert json.loads(douane.run("show", plain, "--json").stdout)["tasks"][0]["report"]["summary"] is None
