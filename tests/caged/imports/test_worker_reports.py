"""What people read of an import: the plugin that holds it up while it runs, and the plugins' log lines afterwards."""

from __future__ import annotations

import os

from douane.api.documents.records import task_document
from douane.api.identity.rights import make_identity
from douane.api.ui.detail import import_detail
from douane.api.ui.rows import import_row
from support.waiting import until
from support.workers import MakeSite

ADMIN, TENANT = make_identity("u", "p", ["admin"]), make_identity("u", "p", ["member"])


def test_the_plugin_that_holds_up_an_import_is_named_while_it_runs(make_site: MakeSite) -> None:
    site = make_site(seconds=0.5)
    site.start("worker-1")
    task = site.begin(site.new_image(), "upload")
    site.queue(task, os.urandom(24 << 20))

    def slow() -> str:
        return import_row(site.catalog.task(task.id), None).slow

    until("the slow plugin is named", slow)
    assert slow() == "judge"
    assert task_document(site.catalog.task(task.id), is_admin=True)["result"] is None
    site.catalog.cancel(task.id, message="enough")
    ended = site.catalog.task(task.id)
    assert import_row(ended, None).slow == "" and task_document(ended, is_admin=True)["result"] is None


def test_the_lines_that_plugins_log_are_kept_for_the_operator(make_site: MakeSite) -> None:
    site = make_site()
    site.start("worker-1")
    for size in (3_000, 4_000):
        task = site.begin(site.new_image(), "upload")
        site.queue(task, bytes(size))
        until("the task has ended", lambda: site.catalog.task(task.id).outcome is not None)  # noqa: B023
        ended = site.catalog.task(task.id)
        assert ended.report["log"] == [f"judge: read {size} bytes"]
        assert import_detail(ended, None, ADMIN).log == [f"judge: read {size} bytes"]
        assert import_detail(ended, None, TENANT).log == []
        assert "log" not in task_document(ended, is_admin=False)["result"]
