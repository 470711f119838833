"""The inspector `properties`: the operator's rules about the properties of an image, by all that is known of it."""

from __future__ import annotations

from typing import Any

from douane_plugin import Inspector

from .rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image


class Properties(Inspector):
    """Set, or remove, properties of the image itself by rule; or refuse the image.

    ``use = "properties"``, and beside it ``may_set`` with all names that its rules set or remove: a name that is not
    listed there is a failure of the plugin, at the first image for which it counts. It stands behind those whose
    findings it goes by.

    Configuration:

    ``rules`` (list of tables)
        Each has ``when`` (conditions, all of which must hold; none: always), and ``set`` (names and values),
        ``remove`` (names) or ``refuse`` (``code`` and ``message``). All rules that hold count, in order; the last
        word on a name is the last one's. The first refusal ends it.
    ``ignore_roles`` (list of str, none)
        Images of users with one of these roles are left alone.

    A condition is about ``role``, ``owner``, ``name``, ``size``, ``disk_format`` or ``container_format`` (as declared,
    or as the last transform says), ``property.NAME`` (as declared), or ``PLUGIN.KEY`` (as found). It is a value, in
    which ``*`` stands for any characters, a list of values, or a table: ``not`` (a value or a list), ``min`` and
    ``max``. What is not known meets no condition but ``not``.

    Properties: ``rules`` (the numbers of those that held, from 1), or none.
    """

    reads = "findings"

    def __init__(self, rules: list[dict[str, Any]], ignore_roles: list[str] | None = None) -> None:
        self.rules = [Rule(table, number) for number, table in enumerate(rules, 1)]
        if not self.rules:
            raise ValueError("'rules' is empty, so that nothing would be done; write one, or leave the plugin out")
        self.ignore_roles = frozenset(ignore_roles or ())

    def inspect(self, image: Image) -> dict[str, str]:
        """Raises Reject where a rule says so."""
        if self.ignore_roles.intersection(image.roles):
            self.log.info("left alone: its user is %s", ", ".join(sorted(self.ignore_roles.intersection(image.roles))))
            return {}
        held = [(number, rule) for number, rule in enumerate(self.rules, 1) if rule.holds(image)]
        for number, rule in held:
            if rule.refusal is not None:
                self.log.info("rule %d refuses it", number)
                raise rule.refusal
            for name, value in rule.set.items():
                self.propose(name, value)
            for name in rule.remove:
                self.propose(name, None)
        return {"rules": ",".join(str(number) for number, _ in held)} if held else {}
