"""The inspectors `policy` and `guest-policy`: rules in CEL over everything that is known of an image.

`rules` reads a policy file, `facts` collects what its expressions see, `evaluation` evaluates them.
"""

from __future__ import annotations

from douane.plugins._judgement import INCOMPLETE, MAX_WARNINGS, WARN, check_unread, shown_place
from douane.plugins._literal import Literal
from douane_plugin import Incomplete, Inspector, Reject

from .facts import guest_facts, image_facts
from .rules import ALLOWED, UNMET, Outcome, check_rule, parse_policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin import Image

FILE = "policy"
"""The name of the grant."""


class _PolicyInspector(Inspector):
    sees_guest = False
    unread = INCOMPLETE

    def __init__(self, require: str | None = None, message: str | None = None) -> None:
        from .evaluation import Rules

        if require is None:
            rules = parse_policy(self._file()).rules
        else:
            text = message or f"the image does not meet the policy of this site: {require}"
            rules = (check_rule({"code": "policy", "require": require, "message": text}, 1),)
        self.rules = Rules(rules, sees_guest=self.sees_guest)

    def _file(self) -> bytes:
        try:
            data: bytes = self.grant(FILE).read()
        except LookupError:
            raise ValueError(
                "set 'require' to an expression, or grant a file of rules: "
                'grants = { policy = "file:/etc/douane/policy.toml" }'
            ) from None
        return data

    def inspect(self, image: Image) -> dict[str, int]:
        """Return the properties. Raises Reject, Incomplete."""
        facts: dict[str, Any] = {"image": image_facts(image), "findings": dict(image.findings)}
        exists = None
        if self.sees_guest:
            facts["guest"] = guest_facts(image.guest, self.rules.names)
            exists = image.guest.exists
        failures = [outcome for outcome in self.rules.evaluate(facts, exists) if outcome.state != ALLOWED]
        self._answer([outcome for outcome in failures if outcome.rule.severity == "refuse"])
        for outcome in failures:
            self.warn(outcome.rule.code, outcome.rule.message if outcome.state == UNMET else _undefined(outcome))
        return {"rules": len(self.rules), "warnings": len(failures) + self._warn_of_unread(image)}

    def _warn_of_unread(self, image: Image) -> int:
        """If the operator says so, warn of what is unread, and return the number of warnings. Else the runtime answers
        Incomplete, unless a rule has asked."""
        if self.unread != WARN:
            return 0
        parts = image.guest.unread
        for part in parts[:MAX_WARNINGS]:
            self.warn(part.code, f"{shown_place(part.place)}: could not be looked at: {part.why}")
        return len(parts)

    def _answer(self, failures: list[Outcome]) -> None:
        """Raise Reject for rules that are not met, or Incomplete for those that cannot be evaluated."""
        unmet = [outcome.rule for outcome in failures if outcome.state == UNMET]
        if unmet:
            count = len(unmet) - 1
            more = f" ({count} more {'rule is' if count == 1 else 'rules are'} not met)" if count else ""
            raise Reject(unmet[0].code, unmet[0].message + more)
        for outcome in failures:
            raise Incomplete(outcome.rule.code, _undefined(outcome))


def _undefined(outcome: Outcome) -> str:
    return f"the rule {outcome.rule.code} cannot be evaluated: {outcome.reason}"


class PolicyRules(_PolicyInspector):
    """Refuse an image that does not meet a rule of the site, an expression in CEL.

    ``use = "policy"``. It sees what is declared of the image, and the findings of the plugins before it in the plan.

    Configuration:

    ``require`` (str; none)
        One expression that must be true.
    ``message`` (str; a sentence with the expression)
        What the tenant is told if it is not.

    Grants: ``policy``, a file of rules (TOML), instead of ``require``. `douane policy test` runs the tests in it.

    Properties: ``rules``, ``warnings`` (numbers).

    Refuses with ``policy``, or the code of the rule; incomplete with the code of a rule that cannot be evaluated.
    """

    reads = "findings"


class GuestPolicyRules(_PolicyInspector):
    """The same with what is in the image: `guest` (system, volumes, packages) and `file_exists(path)`.

    ``use = "guest-policy"``. It waits for all bytes, and for the answers of the plugins before it.

    Configuration:

    ``require`` (str; none)
        One expression that must be true.
    ``message`` (str; a sentence with the expression)
        What the tenant is told if it is not.
    ``unread`` (``"incomplete"``; or ``"warn"``)
        The answer if a part of the image could not be looked at, and no rule looks at ``guest.unread``.

    Grants, properties and refusals as those of ``policy``.
    """

    reads = "guest+findings"
    sees_guest = True

    def __init__(
        self,
        require: str | None = None,
        message: str | None = None,
        unread: Literal["incomplete", "warn"] = "incomplete",
    ) -> None:
        self.unread = check_unread(unread)
        super().__init__(require, message)
