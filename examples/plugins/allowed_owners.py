"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "allowed-owners"
    use = "plugins/allowed_owners.py:AllowedOwners"
    config = { owners = ["8c1f0d2e6b3a4f5d9e7c6b5a4d3c2b1a"], roles = ["image-publisher"] }

Shows an allow-list, and ``reads = "nothing"``: the plugin needs no byte of the image. ``image.owner`` and
``image.roles`` name the sender. If the service does not know the owner, the answer is `Incomplete`, neither yes nor no.
"""

from __future__ import annotations

from douane_plugin import Image, Incomplete, Inspector, Reject


class AllowedOwners(Inspector):
    """Accept only images of certain projects, or of users with certain roles."""

    reads = "nothing"

    def __init__(self, owners: frozenset[str], roles: frozenset[str] = frozenset()):
        if not owners and not roles:
            raise ValueError("owners, roles: both are empty, so that nobody could upload an image")
        self.owners = owners
        self.roles = roles

    def inspect(self, image: Image) -> dict[str, str]:
        if image.owner in self.owners:
            return {"allowed_by": "owner"}
        if not self.roles.isdisjoint(image.roles):
            return {"allowed_by": "role"}
        if image.owner is None:
            raise Incomplete("owner-unknown", "the project of the image is not known; upload it as a user of a project")
        raise Reject(
            "owner-not-allowed",
            "your project may not upload images here; ask the operator to add it to the list, and name its id",
        )
