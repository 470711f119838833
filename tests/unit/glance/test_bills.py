"""Bills of materials in Glance: kept before Glance has the whole image, or the image does not get in."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from douane.errors import AgentError, DouaneError, PlanError, SandboxError
from douane.glance.filter import Filter
from douane.glance.settings import read_settings
from douane.report import Provenance, Verdict
from support.fake_glance import ID, PATH, FakeBackend, FakeGlance, Reply, Script, request

SUMMARY: dict[str, Any] = {"payloadType": "t", "payload": "", "signatures": []}
LIST = {"packages": 1, "zlib": "x"}


def upload(
    glance: FakeGlance, folder: Path, inventory: Any = LIST, error: DouaneError | None = None, action: str = "/file"
) -> Reply:
    """With a plan that signs."""
    script = Script()
    documents = {} if inventory is None else {"inventory": inventory}
    ran = Provenance(use="packages", kind="inspector", sandbox="full")
    verdict = Verdict(plugin="p", outcome="accepted", documents=documents, ran=ran)
    script.report, script.bill_error = {"summary": SUMMARY, "verdicts": [verdict]}, error
    folders = {"summaries": str(folder.parent / "summaries"), "bills": str(folder)}
    app = Filter(glance, FakeBackend(script), None, properties=True, **folders)
    return request(app, b"an image", path=PATH + action)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "summaries").mkdir()
    (tmp_path / "bills").mkdir()
    return tmp_path / "bills"


def test_an_uploaded_image_has_its_bill_in_the_folder(folder: Path) -> None:
    assert upload(FakeGlance(), folder, action="/stage").code == 204
    assert list(folder.iterdir()) == [], "not before its import"
    assert upload(FakeGlance(), folder).code == 204
    (file,) = folder.iterdir()
    assert (file.name, file.read_text()) == (f"{ID}.cdx.json", "the bill of 0000")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("inventory", [None, {"packages": 9, "too_long": 999_999}])
def test_an_image_without_a_list_of_packages_gets_in_without_a_bill(folder: Path, inventory: Any) -> None:
    (folder / f"{ID}.cdx.json").write_text("of an earlier import, which had other bytes")
    assert upload(FakeGlance(), folder, inventory).code == 204
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("error", [SandboxError("no sandbox"), None])
def test_an_image_whose_bill_cannot_be_made_or_written_does_not_get_in(
    folder: Path, error: DouaneError | None, caplog: pytest.LogCaptureFixture
) -> None:
    glance = FakeGlance()
    if error is None:
        folder.rmdir()
    reply = upload(glance, folder, error=error)
    assert (reply.code, reply.headers["X-Douane-Code"]) == (500, "bill-not-kept")
    assert glance.data is None
    assert f"the bill of materials of image {ID} cannot be {'kept' if error is None else 'made'}" in caplog.text
    assert list((folder.parent / "summaries").iterdir()) == [], "no summary says that it was let in"


def test_an_agent_that_is_busy_says_when_to_come_again(folder: Path) -> None:
    reply = upload(FakeGlance(), folder, error=AgentError("too many clients", code="busy", retry_after=7.0))
    assert (reply.headers["X-Douane-Code"], reply.headers["Retry-After"]) == ("busy", "7")
    assert list(folder.iterdir()) == []


def test_bills_stand_beside_summaries_in_folders_that_can_be_written(folder: Path) -> None:
    with pytest.raises(PlanError, match="set both"):
        read_settings({"config": "plan.toml", "bills": str(folder)}, {})
    options = {"config": "plan.toml", "summaries": str(folder), "bills": "/no/such/folder"}
    with pytest.raises(PlanError, match="no folder that can be written"):
        read_settings(options, {})
    assert read_settings({**options, "bills": str(folder)}, {}).bills == str(folder)
