from douane_plugin import Inspector


class Findings(Inspector):
    reads = "findings"

    def inspect(self, image):
        self.propose("hw_firmware_type", "uefi")
        self.propose("hw_cores", 4)
        self.propose("hw_cores", 8)
        self.propose("os_hidden", None)
        return {key.replace(".", "_").replace("-", "_"): value for key, value in image.findings.items()}
