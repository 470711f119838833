"""`signature` and `provenance` in real sandboxes: programs and libraries work there, with the image as received."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from douane.report import Report
from douane.sandbox import Tier
from support.images.signatures import certificate, pem
from support.signing import UUID, Gpg, Minisign

PLAN = """
[[plugin]]
name = "signature"
use = "signature"
config = {{ identity = "jku@goto.fi", issuer = "https://github.com/login/oauth" }}
grants = {{ gpg = "file:{keys}", minisign = "file:{minisign}", sigstore = "file:{root}", signatures = "dir:{folder}", \
certificates = "dir:{folder}", trust = "file:{trust}" }}

[[plugin]]
name = "provenance"
use = "provenance"
config = {{ required = false }}
grants = {{ keys = "file:{builders}", attestations = "dir:{folder}" }}

[[plugin]]
name = "unpack"
use = "decompress"
"""
SIGSTORE = Path(__file__).parents[2] / "support" / "sigstore"


def check(image: bytes, name: str, plan: Path, tier: Tier, properties: dict[str, str]) -> Report:
    path = plan.parent / "image"
    path.write_bytes(image)
    declared = DeclaredImage(name=name, properties=properties)
    source = open_source(str(path), size=None)
    options = RunOptions(tier=tier, emit=lambda *line: None)
    return inspect_image(load_plan(str(plan), extra=(), settings=()), declared, source, None, options)


def test_signatures_of_the_image_as_received(tier: Tier, tmp_path: Path) -> None:
    from unit.plugins.test_provenance import BUILDER, PRIVATE, attested, public
    from unit.plugins.test_signature_openstack import signed

    folder, minisign, gpg = tmp_path / "signatures", Minisign(tmp_path), Gpg(tmp_path / "gpg")
    folder.mkdir()
    disk = bytes(3 << 20)
    packed = gzip.compress(disk)
    try:
        (tmp_path / "keys.gpg").write_bytes(gpg.make_key("site@example.org"))
        for name in ("disk", "raw"):
            (folder / f"{name}.sig").write_bytes(gpg.sign(packed, "-b"))
        (folder / "disk.minisig").write_bytes(minisign.sign(packed, "-l"))
    finally:
        gpg.close()
    (folder / f"{UUID}.pem").write_bytes(pem(certificate("vendor", "root")))
    (tmp_path / "trust.pem").write_bytes(pem(certificate("root", ca=True)))
    (folder / "disk.intoto.jsonl").write_bytes(
        attested(subject=[{"digest": {"sha256": hashlib.sha256(packed).hexdigest()}}])
    )
    (tmp_path / "builders.pem").write_bytes(public(PRIVATE))
    plan = tmp_path / "plan.toml"
    text = PLAN.format(
        builders=tmp_path / "builders.pem",
        keys=tmp_path / "keys.gpg",
        minisign=tmp_path / "key.pub",
        root=SIGSTORE / "staging_root.json",
        folder=folder,
        trust=tmp_path / "trust.pem",
    )
    plan.write_text(text)
    report = check(packed, "disk", plan, tier, signed(image=packed))
    assert (report.outcome, report.code) == ("accepted", None), report
    assert report.properties["signature.verified"] == "openstack, minisign, gpg"
    assert report.properties["provenance.builder"] == BUILDER
    assert report.stored.size == len(disk)
    refused = check(disk, "raw", plan, tier, {})
    assert (refused.outcome, refused.code) == ("refused", "signature-invalid"), refused
    name = "staging-rekor-v2.txt"
    (folder / f"{name}.bundle").write_bytes((SIGSTORE / f"{name}.sigstore.json").read_bytes())
    report = check((SIGSTORE / name).read_bytes(), name, plan, tier, {})
    assert (report.outcome, report.properties["signature.verified"]) == ("accepted", "sigstore"), report
