"""Who may do what, by Glance's own policies and the operator's file of them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Who(IntEnum):
    """The least that is needed."""

    MEMBER = 0
    """Every member of a project, in it."""
    SERVICE = 1
    """Who has the role `service`, and no other."""
    ADMIN = 2
    """An administrator."""
    NOBODY = 3
    """None of these: a role of this site's own, or really nobody."""
    UNKNOWN = 4


TOLD = {
    Who.MEMBER: "every member of a project may",
    Who.SERVICE: "other services may, tenants may not",
    Who.ADMIN: "administrators may, tenants may not",
    Who.NOBODY: "neither member, service nor administrator may",
    Who.UNKNOWN: "who may cannot be told",
}

_ROLES = ((Who.MEMBER, ["member", "reader"]), (Who.SERVICE, ["service"]), (Who.ADMIN, ["admin", "member", "reader"]))


def who_may(rule: str) -> Who:
    """By trying the `rule`, a name of Glance's. Raises nothing."""
    try:
        from glance.api import policy

        from glance import context

        enforcer: Any = policy.Enforcer(suppress_deprecation_warnings=True)
        target = {"project_id": "a-project", "owner": "a-project", "user_id": "a-user", "visibility": "private"}
        for who, roles in _ROLES:
            asking = context.RequestContext(user_id="a-user", project_id="a-project", roles=roles, is_admin=False)
            if enforcer.check(asking, rule, target):
                return who
    except Exception:  # a policy file that cannot be read, a rule that this Glance has not: then it is not known
        return Who.UNKNOWN
    return Who.NOBODY
