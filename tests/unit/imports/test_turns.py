"""A worker takes uploads and queued tasks in turn."""

from __future__ import annotations

from douane.imports.turns import Turns


def test_an_endless_line_of_uploads_does_not_hold_up_the_queue() -> None:
    order: list[str] = []
    waiting = ["task", "task"]

    def upload() -> bool:
        order.append("upload")
        return True

    def task() -> bool:
        if not waiting:
            return False
        order.append(waiting.pop())
        return True

    turns = Turns(upload, task)
    assert all(turns.take() for _ in range(6))
    assert order == ["upload", "task", "upload", "task", "upload", "upload"]


def test_without_work_nothing_is_taken() -> None:
    assert not Turns(lambda: False, lambda: False).take()
