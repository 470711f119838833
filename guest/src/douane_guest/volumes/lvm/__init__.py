"""LVM2: physical volumes, the text that describes a volume group, and the logical volumes in it."""
