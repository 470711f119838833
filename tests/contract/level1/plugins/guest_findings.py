from douane_plugin import Inspector


class GuestFindings(Inspector):
    reads = "guest+findings"

    def inspect(self, image):
        system = image.guest.os["ID"]
        assert image.file.read(1) == image.guest.disk.pread(0, 1)
        found = {key.replace(".", "_").replace("-", "_"): value for key, value in image.findings.items()}
        return {**found, "system": system, "unread": len(image.guest.unread)}
