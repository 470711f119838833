from douane_plugin import Inspector, Reject


class Windows(Inspector):
    """Refuse an image that holds a text, wherever the chunks fall."""

    api = 1
    reads = "stream"

    def __init__(self, text: str, window: int = 4096):
        self.needle = text.encode()
        self.window = window

    def inspect(self, image):
        count = 0
        for window in image.windows(self.window, overlap=len(self.needle) - 1):
            count += 1
            assert isinstance(window, memoryview) and window.readonly and window.format == "B"
            if self.needle in bytes(window):
                raise Reject("text-found", "the image holds a text that is not allowed")
        self.log.info("looked at %d bytes", image.offset)
        return {"windows": count, "bytes": image.offset}
