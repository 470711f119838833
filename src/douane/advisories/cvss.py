"""The base score of a vector of CVSS 2.0, 3.0 and 3.1.

Sources: "A Complete Guide to the Common Vulnerability Scoring System Version 2.0", section 3.2.1, and the specification
of version 3.1, section 7.1. The score of 4.0 is a table of 270 rows, which is not here: they have a word, too.
"""

from __future__ import annotations

import math

_V2 = {
    "AV": {"L": 0.395, "A": 0.646, "N": 1.0},
    "AC": {"H": 0.35, "M": 0.61, "L": 0.71},
    "Au": {"M": 0.45, "S": 0.56, "N": 0.704},
    **{name: {"N": 0.0, "P": 0.275, "C": 0.66} for name in "CIA"},
}
_V3 = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "PR": {"N": 0.85, "L": 0.62, "H": 0.27},
    "UI": {"N": 0.85, "R": 0.62},
    **{name: {"H": 0.56, "L": 0.22, "N": 0.0} for name in "CIA"},
}
_PRIVILEGES_CHANGED = {"N": 0.85, "L": 0.68, "H": 0.5}
"""`PR` if the scope changes."""


def severity_of(vector: str) -> str:
    """The word for a vector: ``low``, ``medium``, ``high``, ``critical``, or ``unknown``."""
    try:
        if vector.startswith("CVSS:3"):
            score = score_v3(vector)
        elif vector.startswith("CVSS:"):
            return "unknown"
        else:
            score = score_v2(vector)
            return "high" if score >= 7 else "medium" if score >= 4 else "low"
    except (KeyError, ValueError):
        return "unknown"
    return "critical" if score >= 9 else "high" if score >= 7 else "medium" if score >= 4 else "low"


def _metrics(vector: str) -> dict[str, str]:
    return dict(part.split(":", 1) for part in vector.strip("()").split("/"))


def score_v2(vector: str) -> float:
    """0 to 10. Raises KeyError, ValueError."""
    metrics = _metrics(vector)
    value = {name: values[metrics[name]] for name, values in _V2.items()}
    impact = 10.41 * (1 - math.prod(1 - value[name] for name in "CIA"))
    exploitability = 20 * value["AV"] * value["AC"] * value["Au"]
    return round((0.6 * impact + 0.4 * exploitability - 1.5) * (1.176 if impact else 0) + 1e-9, 1)


def score_v3(vector: str) -> float:
    """0 to 10. Raises KeyError, ValueError."""
    metrics = _metrics(vector)
    value = {name: values[metrics[name]] for name, values in _V3.items()}
    is_changed = {"C": True, "U": False}[metrics["S"]]
    if is_changed:
        value["PR"] = _PRIVILEGES_CHANGED[metrics["PR"]]
    base = 1 - math.prod(1 - value[name] for name in "CIA")
    impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 if is_changed else 6.42 * base
    exploitability = 8.22 * value["AV"] * value["AC"] * value["PR"] * value["UI"]
    if impact <= 0:
        return 0.0
    return _rounded_up(min((1.08 if is_changed else 1) * (impact + exploitability), 10))


def _rounded_up(score: float) -> float:
    number = round(score * 100_000)
    return number / 100_000 if number % 10_000 == 0 else (number // 10_000 + 1) / 10
