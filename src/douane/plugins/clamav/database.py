"""The age of clamd's signatures, from its answer to VERSION."""

from __future__ import annotations

import calendar
import time

SECONDS_A_DAY = 86400
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def age_in_days(version: str, now: float | None = None) -> float | None:
    """Days since the database of ``ClamAV 1.4.3/27480/Mon Dec  1 09:48:01 2025`` was made; None if that has no date."""
    words = version.rpartition("/")[2].split()
    if len(words) != 5 or version.count("/") < 2 or words[1] not in MONTHS:
        return None
    clock = words[3].split(":")
    numbers = [words[2], words[4], *clock]
    if len(clock) != 3 or not all(number.isascii() and number.isdigit() for number in numbers):
        return None
    day, year, hour, minute, second = map(int, numbers)
    try:
        made = calendar.timegm((year, MONTHS.index(words[1]) + 1, day, hour, minute, second))
    except (ValueError, OverflowError):
        return None
    return ((time.time() if now is None else now) - made) / SECONDS_A_DAY
