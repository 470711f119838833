"""Volumes over partitions: LVM, md; and what is encrypted."""
