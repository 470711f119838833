"""Change the clock and `time.sleep` for the plugin: its answer must depend on neither."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


def count_sleeps(add: Callable[[float], None]) -> None:
    """Pass the seconds of each `time.sleep` to `add`, and hardly wait."""
    import time

    real = time.sleep

    def sleep(seconds: Any) -> None:
        add(float(seconds))
        real(min(seconds, 0.0002) if seconds >= 0 else seconds)

    time.sleep = sleep


def shift_clock(seconds: float) -> None:
    """Set the wall clock `seconds` ahead. The monotonic clock, which measures, stays."""
    import datetime
    import time

    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + seconds
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)
    gmtime, localtime, strftime = time.gmtime, time.localtime, time.strftime
    time.gmtime = lambda at=None: gmtime(time.time() if at is None else at)
    time.localtime = lambda at=None: localtime(time.time() if at is None else at)
    time.strftime = lambda form, at=None: strftime(form, time.localtime() if at is None else at)
    ahead = datetime.timedelta(seconds=seconds)
    base: Any = datetime.datetime  # date.today calls time.time, which is shifted

    class Shifted(base):  # type: ignore[misc]  # mypy knows no class of that value
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz) + ahead

        @classmethod
        def utcnow(cls) -> Any:
            return super().utcnow() + ahead

        @classmethod
        def today(cls) -> Any:
            return super().today() + ahead

    datetime.datetime = Shifted  # type: ignore[misc]  # the plugin is to see it
