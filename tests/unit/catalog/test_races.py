"""Workers, doors and tenants in several processes at once: one wins, and quotas hold, on both databases."""

from collections import Counter
from pathlib import Path

from douane.catalog import Catalog, ImportRequest, UploadQuotas
from douane.errors import Conflict, OverQuota
from support.catalog import PLAN, make_ready, record_staged
from support.processes import concurrently

REQUEST = ImportRequest()
UPLOAD = {"method": "glance-direct", "plan": PLAN, "worker": "door", "request": REQUEST}


class Wins:
    """Lines that processes append; each line arrives whole."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "wins"
        self._path.touch()

    def add(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(line + "\n")

    def counted(self) -> Counter[str]:
        return Counter(self._path.read_text().split())


def test_every_waiting_import_is_claimed_by_one_of_several_workers(database: str, tmp_path: Path) -> None:
    wins = Wins(tmp_path)
    with Catalog(database) as catalog:
        ids = []
        for n in range(30):
            image = catalog.create_image(name=str(n))
            queued = {"method": "web-download", "plan": PLAN, "request": REQUEST, "source": {"url": "x"}}
            ids.append(catalog.begin_queued(image.id, **queued).id)

    def work() -> None:
        with Catalog(database) as mine:
            while len(wins.counted()) < len(ids):
                task = mine.claim("w")
                if task is not None:
                    wins.add(task.id)
                    assert mine.activate(make_ready(mine, task)).status == "active"

    assert concurrently([work] * 5) == [0] * 5
    assert wins.counted() == Counter(ids)


def test_of_several_beginnings_and_requests_one_wins(database: str, tmp_path: Path) -> None:
    wins = Wins(tmp_path)
    with Catalog(database) as catalog:
        ids = [catalog.create_image(name=str(n)).id for n in range(8)]

    def race() -> None:
        with Catalog(database) as mine:
            for image_id in ids:
                try:
                    task = mine.begin_upload(image_id, **UPLOAD)
                except Conflict as error:
                    assert error.code == "wrong-state"
                else:
                    record_staged(mine, task)
            for image_id in ids:
                while mine.tasks(image_id, requested_only=False)[0].step == "receiving":
                    pass  # the winner records its results
                try:
                    task = mine.request_import(image_id, request=REQUEST, plan=PLAN, worker="door")
                except Conflict as error:
                    assert error.code == "wrong-state"
                else:
                    assert mine.activate(task, ["file"]).status == "active"
                    wins.add(image_id)

    assert concurrently([race] * 5) == [0] * 5
    assert wins.counted() == Counter(ids)


def test_uploads_together_do_not_exceed_a_quota(database: str, tmp_path: Path) -> None:
    wins = Wins(tmp_path)

    def race() -> None:
        with Catalog(database) as mine:
            for _ in range(4):
                try:
                    image = mine.create_image(name="x", owner="p", quota=9)
                    mine.begin_upload(image.id, quotas=UploadQuotas(uploading=3, staged_total=100), **UPLOAD)
                except OverQuota:
                    continue
                wins.add(image.id)

    assert concurrently([race] * 5) == [0] * 5
    with Catalog(database) as catalog:
        usage = catalog.usage("p")
        assert (usage.uploading, usage.count) == (3, 9)
    assert len(wins.counted()) == 3


def test_of_a_cancellation_and_an_activation_one_wins(database: str, tmp_path: Path) -> None:
    wins = Wins(tmp_path)
    with Catalog(database) as catalog:
        images = [catalog.create_image(name=str(n)).id for n in range(20)]
        tasks = [catalog.begin_upload(image_id, **{**UPLOAD, "method": "upload"}) for image_id in images]

    def work() -> None:
        with Catalog(database) as mine:
            for task in tasks:
                try:
                    mine.activate(make_ready(mine, task))
                except Conflict as error:
                    assert error.code == "lost-task"
                else:
                    wins.add(task.id)

    def cancel() -> None:
        with Catalog(database) as mine:
            for task in tasks:
                try:
                    mine.cancel(task.id, message="no")
                except Conflict as error:
                    assert error.code == "wrong-state"
                else:
                    wins.add(task.id)

    assert concurrently([work, cancel]) == [0, 0]
    assert wins.counted() == Counter(task.id for task in tasks)
    with Catalog(database) as catalog:
        for task in tasks:
            outcome, status = catalog.task(task.id).outcome, catalog.image(task.image_id).status
            assert (outcome, status) in (("accepted", "active"), ("cancelled", "queued"))


def test_several_processes_open_an_empty_database_at_once(empty_database: str) -> None:
    def first() -> None:
        with Catalog(empty_database) as mine:
            mine.create_image(name="x")

    assert concurrently([first] * 6) == [0] * 6
    with Catalog(empty_database) as catalog:
        assert len(catalog.images()) == 6
