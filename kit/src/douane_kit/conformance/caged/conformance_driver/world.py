"""Another hour, another throw of the dice: what a verdict must not depend on."""

from __future__ import annotations

import io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def wait_no_longer(slept: Callable[[float], None]) -> None:
    """time.sleep is counted and hardly waits: a second that a plugin sleeps is found all the same."""
    import time

    real = time.sleep

    def sleep(seconds: Any) -> None:
        slept(float(seconds))
        real(min(seconds, 0.0002) if seconds >= 0 else seconds)

    time.sleep = sleep


def shift_clock(seconds: float) -> None:
    """The clock of the wall is `seconds` ahead; the monotonic one, which measures, is not."""
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
    moment: Any = datetime.datetime  # date.today asks time.time, which is shifted already

    class Moment(moment):  # type: ignore[misc]  # the class that is there, whichever that is
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz) + ahead

        @classmethod
        def utcnow(cls) -> Any:
            return super().utcnow() + ahead

        @classmethod
        def today(cls) -> Any:
            return super().today() + ahead

    datetime.datetime = Moment  # type: ignore[misc]  # that is the point


def load_dice(low: bool) -> None:
    """Random numbers are always the lowest, or always the highest that there are."""
    import random
    import secrets

    value = 0.0 if low else 1 - 2**-53

    class Loaded(random.Random):
        def random(self) -> float:
            return value

        def getrandbits(self, k: int) -> int:
            return 0 if low else (1 << k) - 1

        def _randbelow(self, n: int) -> int:
            return 0 if low else n - 1

    dice = Loaded()
    for name in ("random", "uniform", "randint", "choice", "randrange", "getrandbits", "choices", "betavariate"):
        setattr(random, name, getattr(dice, name))
    for name in ("randbelow", "choice", "randbits"):
        setattr(
            secrets, name, {"randbelow": dice._randbelow, "choice": dice.choice, "randbits": dice.getrandbits}[name]
        )


class Counter(io.RawIOBase):
    """Where prints go: counted, and dropped."""

    def __init__(self, fd: int) -> None:
        self._number = fd
        self.count = 0

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return False

    def write(self, data: Any) -> int:
        size = len(data)
        self.count += size
        return size
