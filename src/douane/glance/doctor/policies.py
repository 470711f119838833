"""Who may do what, by Glance's own policies and the operator's policy file."""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Who(IntEnum):
    """The least privileged user that a policy allows."""

    MEMBER = 0
    """Every member of a project, in that project."""
    SERVICE = 1
    """A user with the role `service` alone."""
    ADMIN = 2
    """An administrator."""
    NOBODY = 3
    """None of these: a role of this site's own, or really nobody."""
    UNKNOWN = 4


SENTENCES = {
    Who.MEMBER: "every member of a project may",
    Who.SERVICE: "other services may, tenants may not",
    Who.ADMIN: "administrators may, tenants may not",
    Who.NOBODY: "neither member, service nor administrator may",
    Who.UNKNOWN: "it cannot be determined who may",
}

_ROLES = ((Who.MEMBER, ["member", "reader"]), (Who.SERVICE, ["service"]), (Who.ADMIN, ["admin", "member", "reader"]))


def who_may(rule: str) -> Who:
    """Try the `rule`, a name of Glance's, with each kind of user. Raises nothing."""
    try:
        from glance.api import policy

        from glance import context

        enforcer: Any = policy.Enforcer(suppress_deprecation_warnings=True)
        target = {"project_id": "a-project", "owner": "a-project", "user_id": "a-user", "visibility": "private"}
        for who, roles in _ROLES:
            user = context.RequestContext(user_id="a-user", project_id="a-project", roles=roles, is_admin=False)
            if enforcer.check(user, rule, target):
                return who
    except Exception:  # a policy file that cannot be read, or a rule that this Glance does not have
        return Who.UNKNOWN
    return Who.NOBODY
