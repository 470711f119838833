from douane_plugin import API_LEVEL, Image, Inspector


class Declared(Inspector):
    """All that is declared of an image, and nothing else."""

    reads = "nothing"

    def inspect(self, image):
        assert isinstance(image, Image) and API_LEVEL >= 1
        assert list(image) == [] and image.offset == 0
        try:
            image.read(1)
        except ValueError:
            pass
        else:
            raise RuntimeError("it could read")
        try:
            image.properties["new"] = "1"
        except TypeError:
            pass
        else:
            raise RuntimeError("properties can be written")
        self.warn("seen", "it was looked at")
        self.log.warning("a line")
        self.log.debug("not wanted at this level")
        return {
            "name": image.name or "",
            "size": -1 if image.size is None else image.size,
            "disk_format": image.disk_format or "",
            "container_format": image.container_format or "",
            "owner": image.owner or "",
            "roles": ",".join(image.roles),
            "properties": ",".join(f"{key}={value}" for key, value in sorted(image.properties.items())),
            "findings": len(image.findings),
        }
