from douane_plugin import Incomplete, Inspector, Reject


class Head(Inspector):
    reads = "head:512"

    def inspect(self, image):
        sector = image.read(512)
        if len(sector) < 512:
            raise Incomplete("too-short", "the image ends inside its first sector")
        if sector[510:] != b"\x55\xaa":
            raise Reject("no-signature", "the first sector has no signature")
        try:
            image.read(1)
        except ValueError:
            return {"bound": True}
        return {"bound": False}
