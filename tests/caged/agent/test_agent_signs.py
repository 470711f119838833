"""The agent signs summaries of accepted images with a key that its clients need not read, and makes their bills."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from douane.agent import Agent
from douane.bills.kept import InventoryRecord
from douane.declared import DeclaredImage
from douane.errors import AgentError
from douane.evidence import verify_summary
from douane.evidence.verification import digests_of
from douane.plugins.attestations.keys import PublicKeys
from douane.plugins.packages.inventory import Inventory, Package, System, document_of
from support.agent import StartAgent, plan

IMAGE_ID = "b5f1d1c0-4a58-4b57-9f0b-0c9d1f3c5a11"
DATA = os.urandom(300_000)


def test_an_accepted_image_is_signed_for_or_not_accepted(start_agent: StartAgent, tmp_path: Path) -> None:
    key, public, image = tmp_path / "evidence.pem", tmp_path / "evidence.pub", tmp_path / "image"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    key.chmod(0o600)
    image.write_bytes(DATA)
    evidence = f'\n[evidence]\nkey = "{key}"\nverifier = "https://images.example.org/douane"\n'
    agent = Agent(start_agent(plan("Count") + evidence).socket)
    assert agent.plan().signs
    with image.open("rb") as file:
        digests = digests_of(file)
        report = agent.inspect(file.fileno(), DeclaredImage(name="n"), "the image", image_id=IMAGE_ID)
        assert verify_summary(
            msgspec.json.encode(report.summary), PublicKeys(public.read_text()), digests
        ).image.endswith(IMAGE_ID)
        assert agent.inspect(file.fileno(), DeclaredImage(), "a sample").summary is None
        key.unlink()
        with pytest.raises(AgentError) as caught:
            agent.inspect(file.fileno(), DeclaredImage(name="n"), "the image", image_id=IMAGE_ID)
        assert caught.value.code == "wrong-configuration"
    package = Package("bash", "5", "", "", ("deb", "amd64", "", "var/lib/dpkg/status", False))
    document = document_of(Inventory([System("disk", {"ID": "debian"}, [package])], []))
    record = InventoryRecord(image=IMAGE_ID, task="", sha256="a" * 64, document=document)
    bill = tmp_path / "bill"
    with bill.open("wb") as file:
        file.write(b"of an attempt before, when the agent went away")
        file.flush()
        agent.write_bill(record, file.fileno())
        assert [each["name"] for each in json.loads(bill.read_bytes())["components"]] == ["debian", "bash"]
        with pytest.raises(AgentError, match="has no bill of materials"):
            agent.write_bill(msgspec.structs.replace(record, document={"packages": 1, "zlib": "none"}), file.fileno())
        assert bill.read_bytes() == b""
    inspection = agent.begin(DeclaredImage(), len(DATA), "the image", image_id=IMAGE_ID)
    inspection.write(DATA)
    with pytest.raises(AgentError) as caught:
        inspection.finish()
    assert caught.value.code == "wrong-configuration"
