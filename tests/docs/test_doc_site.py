"""The plan of docs/inspectors/site.md is one that Douane accepts, with the files that it names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from douane.advisories.building import build
from douane.plan.builtin import BUILT_IN
from support.clamd_servers import real_clamd
from support.doc_pages import TOP, blocks, page
from support.planted_packages import ADVISORIES, osv_zip
from support.signing import Gpg, Minisign

PAGE = page("docs/inspectors/site.md")
PLAN = blocks(PAGE)[0].text
INSPECTORS = {"baseline", "clamav", "guest-policy", "packages", "policy", "provenance", "secrets", "signature", "yara"}


def granted_files(folder: Path) -> None:
    """What the plan names in /etc/douane."""
    key = Ed25519PrivateKey.generate()
    private = folder / "evidence.pem"
    private.touch(0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "builders.pem").write_bytes(public)
    (folder / "signatures").mkdir()
    (folder / "yara").mkdir()
    (folder / "yara" / "site.yar").write_text('rule planted { strings: $a = "PLANTED" condition: $a }')
    shutil.copy(TOP / "examples" / "policies" / "guest.toml", folder / "guest-policy.toml")
    build([str(osv_zip(folder / "osv.zip", ADVISORIES))], str(folder / "cve.sqlite"))
    (folder / "minisign.pub").write_bytes(Minisign(folder).public)
    gpg = Gpg(folder / "gpg")
    try:
        (folder / "keys.gpg").write_bytes(gpg.make_key("site@example.org"))
    finally:
        gpg.close()


def test_douane_plan_accepts_the_plan_of_the_site(tmp_path: Path) -> None:
    granted_files(tmp_path)
    with TemporaryDirectory(dir="/tmp") as folder, real_clamd(Path(folder)) as socket:
        text = PLAN.replace("/etc/douane", str(tmp_path)).replace("/run/clamav/clamd.ctl", str(socket))
        plan = tmp_path / "site.toml"
        plan.write_text(text.replace("/etc/clamav", folder))
        words = [sys.executable, "-m", "douane.cli.main", "plan", "--json", "--config", plan]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    uses = [table["use"] for table in tomllib.loads(PLAN)["plugin"]]
    assert [plugin["use"] for plugin in json.loads(result.stdout)["plugins"]] == uses


def test_the_plan_has_all_inspectors_and_the_page_explains_each_table() -> None:
    tables = tomllib.loads(PLAN)["plugin"]
    assert {table["use"] for table in tables} >= INSPECTORS & BUILT_IN.keys()
    explained = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert [table["name"] for table in tables] == explained
