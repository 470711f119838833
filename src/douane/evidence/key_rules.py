"""What every key that signs must be, and the error for a library that is missing."""

from __future__ import annotations

from typing import Any

from douane.errors import PlanError
from douane.plugins import _x509


def check_length(public_key: Any, place: str) -> None:
    """Raise PlanError for a key that nobody should trust any more."""
    try:
        _x509.check_key(public_key)
    except _x509.Unfit as error:
        raise PlanError(f"[evidence] key: {place} {error}; make a longer one") from error


def missing_library(name: str, extra: str, error: ImportError) -> PlanError:
    """The error for a library that is not installed."""
    return PlanError(
        f"[evidence] needs the package {name}, which is not installed ({error}): "
        f"run `pip install '.[{extra}]'` in a checkout of Douane"
    )
