from douane_plugin import Inspector


class Xattrs(Inspector):
    reads = "guest"

    def inspect(self, image):
        guest = image.guest
        capable = [entry.path for entry in guest.walk("/usr") if "security.capability" in entry.xattrs]
        label = guest.xattrs("/bin/tool").get("security.selinux", b"").rstrip(b"\0")
        return {"capable": ",".join(capable), "label": label.decode(), "link": len(guest.xattrs("/bin", follow=False))}
