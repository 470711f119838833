"""The delivery of the image: at once, when a file of it is written, or when other plugins have answered. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from douane.declared import DeclaredImage
from douane.host.messages import ImageFacts

from .actions import Action, PinForAuditor, SendImage
from .file_reading import FileReading
from .stage import PluginState, Stage


class Delivery:
    """The declared image, and the plugins that still wait for theirs."""

    def __init__(
        self,
        plugins: Sequence[PluginState],
        stages: Sequence[Stage],
        files: FileReading,
        image: DeclaredImage,
        findings: Mapping[str, Any] | None,
    ) -> None:
        self.image = image
        self.size: int | None = None
        """Bytes in the image as it arrives; None while that is not known."""

        self._plugins = plugins
        self._stages = stages
        self._files = files
        self._findings = findings
        self._asking: dict[str, tuple[PluginState, ImageFacts | None]] = {}
        """By name, the plugins that wait for the answers of earlier ones; with a file, the facts that belong to it."""

    def take_formats(self, becomes: Mapping[str, str]) -> None:
        """Record the formats that a transform declares for its output."""
        self.image = msgspec.structs.replace(self.image, **becomes)

    def send(self, plugin: PluginState, stage: Stage) -> list[Action]:
        """Send the image to a plugin of a started stage, or record that the plugin waits."""
        assert stage.ring is not None
        if plugin.needs in ("file", "files"):
            stage.waiting.append(plugin)
        elif plugin.needs == "findings":
            self._asking[plugin.name] = plugin, None
        elif plugin.ready:
            return [SendImage(plugin.name, self._facts(stage.ring), stage.ring)]
        else:
            plugin.has_pin = True
            return [PinForAuditor(plugin.name, stage.ring)]
        return []

    def send_file(self, stage: Stage) -> list[Action]:
        """Send the image to plugins that read at random, once the file is complete and the format is known; and to
        those that read the files in it, with their reader. Those that read findings as well wait for these."""
        formats = [plugin.verdict for plugin in stage.plugins if plugin.is_format]
        if stage.ring is None or stage.file_size is None or None in formats:
            return []
        facts = msgspec.structs.replace(self._facts(stage.ring), size=stage.file_size, ring=0)
        for verdict in formats:
            # A tool that opens the image receives the identified format and need not guess.
            if verdict is not None and (disk_format := verdict.properties.get(f"{verdict.plugin}.disk_format")):
                facts = msgspec.structs.replace(facts, disk_format=str(disk_format))
        actions = self._files.begin(stage, [plugin for plugin in stage.waiting if plugin.needs == "files"], facts)
        ready = [plugin for plugin in stage.waiting if plugin.ready and plugin.needs == "file"]
        has_begun = stage.reader is not None and stage.reader.facts is not None
        stage.waiting = [
            plugin
            for plugin in stage.waiting
            if (not plugin.ready if plugin.needs == "file" else not has_begun and plugin.verdict is None)
        ]
        for plugin in ready:
            if plugin.reads_findings:
                self._asking[plugin.name] = plugin, facts
            elif plugin.verdict is None:
                actions.append(SendImage(plugin.name, facts, None))
        return [*actions, *self.send_findings()]

    def send_findings(self) -> list[Action]:
        """Send the image to plugins that read findings, once all earlier plugins have answered."""
        actions: list[Action] = []
        for plugin, known in list(self._asking.values()):
            earlier = [other for other in self._plugins[: self._plugins.index(plugin)] if not other.is_auditor]
            if not plugin.ready or any(other.verdict is None for other in earlier):
                continue
            del self._asking[plugin.name]
            ring = self._stages[plugin.stage].ring
            if plugin.verdict is None and ring is not None:
                facts = msgspec.structs.replace(known or self._facts(ring), findings=self._findings_of(earlier), ring=0)
                actions.append(SendImage(plugin.name, facts, None))
        return actions

    def _findings_of(self, plugins: Sequence[PluginState]) -> dict[str, Any]:
        if self._findings is not None:
            return dict(self._findings)
        verdicts = [plugin.verdict for plugin in plugins if plugin.verdict is not None]
        return {key: value for verdict in verdicts for key, value in verdict.properties.items()}

    def _facts(self, ring: int) -> ImageFacts:
        image = self.image
        return ImageFacts(
            name=image.name,
            size=self.size if ring == 0 else None,
            disk_format=image.disk_format,
            container_format=image.container_format,
            properties=image.properties,
            owner=image.owner,
            roles=image.roles,
            ring=ring,
        )
