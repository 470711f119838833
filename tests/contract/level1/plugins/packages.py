from douane_plugin import Inspector


class Packages(Inspector):
    reads = "guest"

    def inspect(self, image):
        (package,) = image.guest.packages()
        return {"source": package.source, "source_version": package.source_version, "origin": package.origin}
