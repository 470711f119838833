"""The tests in the file of a policy."""

from __future__ import annotations

from .evaluation import Rules
from .facts import GUEST, IMAGE
from .rules import ACCEPTED, ALLOWED, UNMET, Case, Outcome, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

GUEST_NAMES = frozenset(("guest", "file_exists"))


def needs_guest(policy: Policy) -> bool:
    """True if a rule looks at the guest, so that the policy is one for the inspector `guest-policy`."""
    return bool(Rules(policy.rules, sees_guest=True).names & GUEST_NAMES)


def run_tests(policy: Policy) -> Iterator[tuple[Case, str]]:
    """Each test, and what is wrong; empty if nothing is. Facts that a test leaves out are those of an empty image."""
    rules = Rules(policy.rules, sees_guest=True)
    for case in policy.cases:
        guest = {**GUEST, **case.facts.get("guest", {})}
        facts = {"image": {**IMAGE, **case.facts.get("image", {})}, "findings": case.facts.get("findings", {})}
        files = frozenset(guest.pop("files", ()))
        outcomes = rules.evaluate({**facts, "guest": guest}, files.__contains__)
        yield case, _mistake(case, [outcome for outcome in outcomes if outcome.state != ALLOWED])


def _mistake(case: Case, failures: list[Outcome]) -> str:
    for outcome in failures:
        if outcome.state != UNMET:
            return f"the rule {outcome.rule.code} cannot be evaluated: {outcome.reason}"
    codes = [outcome.rule.code for outcome in failures]
    if case.expect == ACCEPTED:
        unmet = [outcome.rule.code for outcome in failures if outcome.rule.severity == "refuse"]
        return f"it is refused by {', '.join(unmet)}" if unmet else ""
    if case.expect in codes:
        return ""
    return f"it is refused by {', '.join(codes)}" if codes else "no rule refuses it"
