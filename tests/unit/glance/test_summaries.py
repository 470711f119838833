"""Signed summaries in Glance: kept before Glance has the whole image, or the image does not get in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from douane.errors import DouaneError, EvidenceError, PlanError
from douane.glance.filter import Filter
from douane.glance.settings import read_settings
from douane.glance.summaries import check_summaries, keep_summary
from support.fake_glance import ID, PATH, FakeBackend, FakeGlance, Script, request

SUMMARY: dict[str, Any] = {"payloadType": "t", "payload": "", "signatures": []}


def upload(
    glance: FakeGlance, folder: Path | None, summary: dict[str, Any] | None, error: DouaneError | None = None
) -> Any:
    script = Script()
    script.report, script.final_error = {"summary": summary}, error
    app = Filter(glance, FakeBackend(script), None, properties=True, summaries=None if folder is None else str(folder))
    return request(app, b"an image")


def test_an_uploaded_image_has_its_summary_in_the_folder(tmp_path: Path) -> None:
    assert upload(FakeGlance(), tmp_path, SUMMARY).code == 204
    (file,) = tmp_path.iterdir()
    assert (file.name, json.loads(file.read_bytes())) == (f"{ID}.json", SUMMARY)


def test_a_staged_image_has_none_before_its_import(tmp_path: Path) -> None:
    script = Script()
    script.report = {"summary": SUMMARY}
    app = Filter(FakeGlance(), FakeBackend(script), None, properties=True, summaries=str(tmp_path))
    assert request(app, b"an image", path=PATH + "/stage").code == 204
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", ["no key now", "no folder", "no summary", "no folder any more"])
def test_an_image_without_what_the_operator_asked_for_does_not_get_in(case: str, tmp_path: Path) -> None:
    glance = FakeGlance()
    error = EvidenceError("the token does not sign") if case == "no key now" else None
    folder = {"no folder": None, "no folder any more": tmp_path / "gone"}.get(case, tmp_path)
    reply = upload(glance, folder, None if case == "no summary" else SUMMARY, error)
    assert (reply.code, reply.headers["X-Douane-Code"]) == (500, "not-signed")
    assert glance.data is None
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_signs_needs_a_folder_and_a_folder_such_a_plan() -> None:
    check_summaries("/folder", signs=True)
    check_summaries(None, signs=False)
    with pytest.raises(PlanError, match="write `summaries ="):
        check_summaries(None, signs=True)
    with pytest.raises(PlanError, match="no \\[evidence\\]"):
        check_summaries("/folder", signs=False)
    with pytest.raises(PlanError, match="no folder that can be written"):
        read_settings({"config": "plan.toml", "summaries": "/no/such/folder"}, {})


def test_an_id_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(EvidenceError, match="no UUID"):
        keep_summary(str(tmp_path / "in"), "../out", SUMMARY)
    keep_summary(str(tmp_path / "in"), ID.upper(), SUMMARY)
    assert [path.name for path in tmp_path.rglob("*.json")] == [f"{ID}.json"]
