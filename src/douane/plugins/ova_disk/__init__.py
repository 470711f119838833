"""Taking an OVA to its disk: a module each for the archive, the disk's parts, digests, the signature, the hardware.

What a header, a descriptor or a manifest says is read by :mod:`douane.plugins.formats`; here it is acted upon.
"""
