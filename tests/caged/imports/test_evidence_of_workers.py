"""Workers sign a summary of what they let in, of the image and of its copies for one store, or let nothing in."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from douane.api.documents.records import task_document
from douane.evidence import verify_summary
from douane.plugins.attestations.keys import PublicKeys
from support.workers import MakeSite, send

IMAGE = os.urandom(1 << 16)
PRIVATE = Ed25519PrivateKey.generate()


def evidence(folder: Path) -> str:
    """The table, and its key."""
    key = folder / "evidence.pem"
    key.write_bytes(
        PRIVATE.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    key.chmod(0o600)
    return f'[evidence]\nkey = "{key}"\nverifier = "https://images.example.org/douane"\n'


def is_about(summary: dict[str, Any], data: bytes) -> None:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public = PRIVATE.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()
    verify_summary(json.dumps(summary).encode(), PublicKeys(public), {"sha256": hashlib.sha256(data).hexdigest()})


def test_the_image_and_its_copies_have_summaries(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(stores=("a", "b"), twice=("b",), serve=evidence(tmp_path))
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, "upload", ("a", "b")), IMAGE).outcome == "accepted"
    [task] = site.catalog.tasks(image.id)
    is_about(task.report["summary"], IMAGE)
    is_about(task.report["variants"]["b"]["summary"], IMAGE * 2)
    tenants = task_document(task, is_admin=False)["result"]
    assert tenants["summary"] == task.report["summary"]


def test_a_summary_of_staged_bytes_stays_with_their_import(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(serve=evidence(tmp_path))
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image), IMAGE).outcome == "accepted"
    (tmp_path / "evidence.pem").unlink()  # not needed any more: the verdict holds
    site.request_import(image)
    site.until_status(image, "active")
    is_about(site.catalog.tasks(image.id)[-1].report["summary"], IMAGE)


def test_without_the_key_no_image_is_let_in(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(serve=evidence(tmp_path))
    site.start("worker-1")
    image = site.new_image()
    task = site.begin(image, "upload")
    until_ready = send(site, task, b"bad")  # the worker has read its plan, and tried the key
    assert until_ready.outcome == "refused"
    (tmp_path / "evidence.pem").unlink()
    image = site.new_image()
    done = send(site, site.begin(image, "upload"), IMAGE)
    assert (done.outcome, site.status(image) == "active") == ("undecided", False)
    site.nothing_staged()
