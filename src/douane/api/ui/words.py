"""Facts about an import in words: what it does, what it waits for, how far it is."""

from __future__ import annotations

from datetime import datetime

from douane.api.documents.task_progress import percent_of
from douane.catalog.records import Task
from douane.units import show_duration, show_size

METHODS = {
    "glance-direct": "staged upload",
    "upload": "upload",
    "web-download": "download from the web",
    "copy-image": "copy to other stores",
    "location-import": "registered location",
    "file": "command line",
}
MAX_ATTEMPTS = 3


def state_word(task: Task) -> str:
    """One word: waiting, running, accepted, refused, undecided, cancelled."""
    if task.outcome is not None:
        return task.outcome
    return "waiting" if task.step in ("waiting", "staged") else "running"


def explain_state(task: Task) -> str:
    """A sentence: what happens now, or what the import waits for, and why."""
    if task.outcome is not None:
        return _ended(task)
    if task.step == "staged":
        verdict = f" Its bytes are {task.verdict}." if task.verdict in ("accepted", "refused") else ""
        return f"Staged. It waits for the client to request the import.{verdict}"
    if task.step == "waiting":
        return _waits(task)
    if task.step == "publishing":
        return "Accepted. Its bytes are made visible in the store."
    if task.method == "copy-image":
        return "Its bytes are copied to further stores."
    verb = "downloaded" if task.method == "web-download" else "received"
    return f"Its bytes are {verb} and inspected."


def _ended(task: Task) -> str:
    if task.outcome == "accepted":
        return "Accepted: the image is active."
    return task.message or {"cancelled": "It was cancelled."}.get(str(task.outcome), "The image was not accepted.")


def _waits(task: Task) -> str:
    if task.attempts:
        return (
            f"It waits for another attempt ({task.attempts} of {MAX_ATTEMPTS} were made): the worker that ran it "
            "ended, or gave it up."
        )
    if isinstance(task.source, dict) and "spool" in task.source:
        return "The upload is complete. It waits for a worker that is free to run the plan."
    return "It waits for a worker that is free."


def method_word(method: str) -> str:
    """The method of an import, for people."""
    return METHODS.get(method, method)


def percent(task: Task) -> int | None:
    """How much of the image has arrived; None if its size is not known, or nothing is there to be shown."""
    return None if not task.done and state_word(task) == "waiting" else percent_of(task)


def progress_text(task: Task) -> str:
    """Bytes that have arrived, of how many: ``1.5 GiB of 8.0 GiB, 18 %``."""
    part = percent(task)
    if part is None or task.total is None:
        return show_size(task.done) if task.done else ""
    return f"{show_size(task.done)} of {show_size(task.total)}, {part} %"


def duration_text(begin: str, end: str) -> str:
    """The time between two times of the catalog."""
    try:
        seconds = (_time(end) - _time(begin)).total_seconds()
    except ValueError:
        return ""
    return show_duration(max(seconds, 0.0))


def time_words(time: str) -> str:
    """A time of the catalog for people: ``2026-11-29 10:00:05 UTC``."""
    return f"{time[:10]} {time[11:19]} UTC"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
