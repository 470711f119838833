"""Who may do what with an image: Glance's defaults.

Everything is allowed to an admin. Nobody may change or read what is not visible: such an image does not exist for them
(404). An image without an owner is visible by its visibility alone, and only an admin may change it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from douane.api.errors import forbidden, not_found
from douane.catalog.records import Image, Status, Visibility


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who sent a request, as Keystone says; role names are in lower case."""

    user_id: str | None = None
    project_id: str | None = None
    roles: frozenset[str] = frozenset()

    @property
    def is_admin(self) -> bool:
        """May everything, and sees everything."""
        return "admin" in self.roles

    @property
    def is_service(self) -> bool:
        """Nova, Cinder and the like, which register locations. An admin is no service: Glance drops that in 2026.2."""
        return "service" in self.roles

    @property
    def is_member(self) -> bool:
        """May change what the project owns, and download."""
        return bool(self.roles & {"member", "admin"})

    @property
    def is_reader(self) -> bool:
        """May read. Keystone's roles imply each other; a site that made its own may lack `reader`."""
        return bool(self.roles & {"reader", "member", "admin", "service"})


class ImageAccess(msgspec.Struct, frozen=True, kw_only=True):
    """What decides about rights on an image."""

    id: str
    owner: str | None
    visibility: Visibility
    status: Status
    is_member: bool = False
    """The identity's project is a member of the image, whatever it answered."""


def make_identity(user_id: str | None, project_id: str | None, roles: Iterable[str]) -> Identity:
    """An identity; empty strings are the same as None, and roles are compared in lower case."""
    names = frozenset(role.strip().lower() for role in roles)
    return Identity(user_id=user_id or None, project_id=project_id or None, roles=names - {""})


def image_access(image: Image, *, is_member: bool) -> ImageAccess:
    """The access to an image of the catalog, for an identity whose project is a member of it, or is not."""
    return ImageAccess(
        id=image.id,
        owner=image.owner,
        visibility=image.visibility,
        status=image.status,
        is_member=is_member,
    )


def is_owner(identity: Identity, image: ImageAccess) -> bool:
    """True if the identity's project owns the image."""
    return image.owner is not None and image.owner == identity.project_id


def may_see(identity: Identity, image: ImageAccess) -> bool:
    """True if the image exists for the identity."""
    if identity.is_admin:
        return True
    if not identity.is_reader or image.status == "deleted":
        return False
    if is_owner(identity, image) or image.visibility in ("public", "community"):
        return True
    return image.visibility == "shared" and image.is_member


def may_publish(identity: Identity) -> bool:
    """True if the identity may make an image public."""
    return identity.is_admin


def require_view(identity: Identity, image: ImageAccess) -> None:
    """Raise HttpError 404 if the identity may not see the image."""
    if not may_see(identity, image):
        raise no_image(image.id)


def require_change(identity: Identity, image: ImageAccess, action: str = "change") -> None:
    """Raise HttpError 404 or 403 if the identity may not change, upload, import, share or delete the image.

    That a protected image is not deleted, and that only a shared one has members, are rules of the catalog.
    """
    require_view(identity, image)
    if identity.is_admin or (is_owner(identity, image) and identity.is_member):
        return
    if is_owner(identity, image):
        raise forbidden(f"You may not {action} image {image.id}: this needs the role member in its project.")
    raise forbidden(f"You may not {action} image {image.id}: only its owner may.")


def require_download(identity: Identity, image: ImageAccess) -> None:
    """Raise HttpError 404 or 403 if the identity may not read the bytes (no. 18)."""
    require_view(identity, image)
    if identity.is_admin:
        return
    if not identity.is_member and not identity.is_service:
        raise forbidden(f"You may not download image {image.id}: this needs the role member.")
    if image.status == "deactivated":
        raise forbidden(f"Image {image.id} is deactivated; only an administrator may download it.")


def require_admin(identity: Identity, action: str) -> None:
    """Raise HttpError 403 unless the identity is an admin's: copy-image, deletion from a store, lists of tasks."""
    if not identity.is_admin:
        raise forbidden(f"Only an administrator may {action}.")


def require_service(identity: Identity) -> None:
    """Raise HttpError 403 without the role `service` (no. 28 and 29)."""
    if not identity.is_service:
        raise forbidden("Locations of an image are for services only; this needs the role service.")


def require_member_list(identity: Identity, image: ImageAccess) -> None:
    """Raise HttpError 404 unless the identity may read the list of members (no. 14): the owner, and members."""
    if not (may_see(identity, image) and (identity.is_admin or is_owner(identity, image) or image.is_member)):
        raise no_image(image.id)


def require_member_answer(identity: Identity, image: ImageAccess, member: str) -> None:
    """Raise HttpError 404 or 403 unless the identity may accept or reject the image for `member` (no. 15).

    Only the member decides, not the owner.
    """
    require_view(identity, image)
    if identity.is_admin:
        return
    if is_owner(identity, image):
        raise forbidden(f"Only the member {member} may accept or reject image {image.id}, not its owner.")
    if member != identity.project_id or not image.is_member:
        raise not_found(f"There is no member {member} of image {image.id}.")
    if not identity.is_member:
        raise forbidden(f"You may not answer for member {member}: this needs the role member in that project.")


def no_image(image_id: str) -> Exception:
    """404, in the same words for an image that is not there and for one that may not be seen."""
    return not_found(f"There is no image {image_id}.")
