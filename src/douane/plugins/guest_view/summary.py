"""What `douane inspect --guest` runs: the facts of a guest, as a document."""

from __future__ import annotations

import json

from douane_guest.facts.accounts import NONE
from douane_guest.facts.summary import Facts, mounted_at
from douane_plugin import Inspector

from .opened import documented, open_image, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_guest.facts.summary import Boot, System
    from douane_guest.guest import Guest
    from douane_plugin import Image

MAX_BYTES = 160_000
"""Of the document ``guest`` as JSON: documents may have 256 KiB together."""

COUNTS = (1000, 200, 50, 10, 2)
"""Rows of each list: the largest number that fits the document."""


class Summary(Inspector):
    """Attaches the documents ``guest`` (docs/guest.md has its keys) and ``unread``."""

    reads = "random"

    def __init__(self, unpacked: bool = False) -> None:
        self.unpacked = unpacked

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Attach the documents; refuse nothing but an image that is packed."""
        guest = open_image(image, unpacked=self.unpacked)
        facts = Facts(guest, self.alive)
        systems, boot = facts.systems(), facts.boot()
        for count in COUNTS:
            document = _Document(count).of(guest, systems, boot)
            if len(json.dumps(document)) <= MAX_BYTES:
                break
        self.attach("guest", document)
        self.attach("unread", documented(guest.unread))
        return {}


class _Document:
    """Makes the document, with at most `count` rows in each list."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._left_out = 0

    def of(self, guest: Guest, systems: list[System], boot: Boot) -> dict[str, Any]:
        disk = guest.disk
        document = {
            "disk": None if disk is None else {"format": disk.format, "size": disk.size, "sector": disk.sector_size},
            "volumes": [
                {
                    "name": shown(volume.name),
                    "filesystem": shown(volume.filesystem),
                    "size": volume.size,
                    "uuid": shown(volume.uuid),
                    "label": shown(volume.label),
                    "clean": volume.clean,
                    "mounted": self._texts(mounted_at(volume, systems)),
                }
                for volume in self._rows(guest.volumes)
            ],
            "boot": {
                "loaders": [_texts_of(loader._asdict()) for loader in self._rows(boot.loaders)],
                "settings": self._texts(boot.settings),
                "data_volumes": self._texts(boot.data_volumes),
            },
            "systems": [self._system(system) for system in self._rows(systems)],
        }
        return document | {"left_out": self._left_out}

    def _system(self, system: System) -> dict[str, Any]:
        cloud_init, ignition = system.cloud_init, system.ignition
        opened = {key.account for key in system.authorized_keys}
        accounts = [account for account in system.accounts if account.password != NONE or account.name in opened]
        return {
            "volume": shown(system.volume),
            "os": {shown(name): shown(value) for name, value in self._rows(list(system.os.items()))},
            "packages": system.packages,
            "account_count": len(system.accounts),
            "accounts": [
                {
                    **_texts_of(account._asdict()),
                    "keys": [
                        {**_texts_of(key.key._asdict()), "path": shown(key.path)}
                        for key in self._rows([key for key in system.authorized_keys if key.account == account.name])
                    ],
                }
                for account in self._rows(accounts)
            ],
            "host_keys": [
                {"path": shown(key.path), "key": None if key.key is None else _texts_of(key.key._asdict())}
                for key in self._rows(system.host_keys)
            ],
            "machine_id": system.machine_id,
            "dbus_machine_id": system.dbus_machine_id,
            "kernels": [_texts_of(kernel._asdict()) for kernel in self._rows(system.kernels)],
            "cloud_init": None
            if cloud_init is None
            else {
                "enabled": cloud_init.enabled,
                "data_sources": self._texts(cloud_init.data_sources),
                "seeds": self._texts(cloud_init.seeds),
                "ran": cloud_init.ran,
            },
            "ignition": None
            if ignition is None
            else {"platform": shown(ignition.platform), "will_run": ignition.will_run},
            "cloudbase_init": system.cloudbase_init,
        }

    def _rows(self, rows: Any) -> list[Any]:
        self._left_out += max(0, len(rows) - self._count)
        return list(rows[: self._count])

    def _texts(self, texts: Any) -> list[str]:
        return [shown(text) for text in self._rows(texts)]


def _texts_of(fields: dict[str, str]) -> dict[str, str]:
    return {name: shown(value) for name, value in fields.items()}
