import hashlib

from douane_plugin import ImageFile, Inspector, Reject, Volume


class Files(Inspector):
    reads = "files"

    def __init__(self, how: str = "all"):
        self.how = how

    def inspect(self, image):
        if self.how == "blind":
            return None
        (volume,) = image.volumes
        assert (volume.name, volume.filesystem, volume.label, volume.clean) == ("disk", "ext4", "", True) and volume.uuid
        assert isinstance(volume, Volume)
        kinds = {}
        digests = {}
        for file in image.files():
            kinds[file.kind] = kinds.get(file.kind, 0) + 1
            assert isinstance(file, ImageFile)
            assert file.volume == "disk" and file.uid == file.gid == 0 and file.mtime_ns and file.same_as is None
            if file.kind == "link":
                assert (file.path, file.link, file.digest, list(file)) == ("/bin", "usr/bin", None, [])
            if file.kind != "file":
                continue
            content = bytearray(file.read(3))
            if file.path.endswith("shadow"):
                content += b"".join(bytes(chunk) for chunk in file)
            elif file.path == "/usr/bin/tool":
                assert (file.mode, file.size) == (0o4755, 5000)
                content += bytes(file.size - len(content))
                for offset, chunk in file.data():
                    content[offset : offset + len(chunk)] = chunk
            else:
                continue  # its bytes are skipped
            assert file.digest == hashlib.sha256(content).hexdigest()
            digests[file.path] = file.digest
            if self.how == "refuse" and file.path == "/usr/bin/tool":
                raise Reject("tool", f"{file.path} is not allowed")
        parts = [(part.place, part.code, bool(part.why)) for part in image.unread]
        return {"kinds": str(sorted(kinds.items())), "digests": len(digests), "unread": str(parts)}
