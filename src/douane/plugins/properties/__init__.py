"""The inspector `properties`: the operator's rules about the properties of an image.

A rule (`rule`) has conditions (`condition`) about the declared image and the findings of earlier plugins.
"""

from __future__ import annotations

from typing import Any

from douane_plugin import Inspector

from .rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image


class Properties(Inspector):
    """Set or remove properties of the image itself by rule, or refuse the image.

    ``use = "properties"``, and beside it ``may_set`` with all names that its rules set or remove: setting a name that
    is not listed is a failure of the plugin. It must follow the plugins whose findings its rules use.

    Configuration:

    ``rules`` (list of tables)
        Each rule has ``when`` (conditions that must all hold; without it the rule always holds), and ``set`` (names and
        values), ``remove`` (names) or ``refuse`` (``code`` and ``message``). All rules that hold are applied in order;
        a later rule overrides an earlier rule for the same name. The first refusal ends the inspection.
    ``ignore_roles`` (list of str, none)
        Images of users with one of these roles are not changed.

    A condition is about ``role``, ``owner``, ``name``, ``size``, ``disk_format`` or ``container_format`` (as declared,
    or by the last transform), ``property.NAME`` (as declared), or ``PLUGIN.KEY`` (a finding). Its value is a text, in
    which ``*`` matches any characters, another value, a list of values, or a table: ``not`` (a value or a list),
    ``min`` and ``max``. An unknown value meets only ``not``.

    Properties: ``rules`` (the numbers, from 1, of the rules that held), or none.
    """

    reads = "findings"

    def __init__(self, rules: list[dict[str, Any]], ignore_roles: list[str] | None = None) -> None:
        self.rules = [Rule(table, number) for number, table in enumerate(rules, 1)]
        if not self.rules:
            raise ValueError("'rules' is empty; write a rule, or leave the plugin out")
        self.ignore_roles = frozenset(ignore_roles or ())

    def inspect(self, image: Image) -> dict[str, str]:
        """Apply the rules. Raises Reject if a rule says so."""
        if self.ignore_roles.intersection(image.roles):
            self.log.info(
                "no rule is applied: the user is %s", ", ".join(sorted(self.ignore_roles.intersection(image.roles)))
            )
            return {}
        matching = [(number, rule) for number, rule in enumerate(self.rules, 1) if rule.holds(image)]
        for number, rule in matching:
            if rule.refusal is not None:
                self.log.info("rule %d refuses the image", number)
                raise rule.refusal
            for name, value in rule.set.items():
                self.propose(name, value)
            for name in rule.remove:
                self.propose(name, None)
        return {"rules": ",".join(str(number) for number, _ in matching)} if matching else {}
