"""Partition tables: MBR with logical partitions, GPT. `find.partitions` reads whichever a disk has."""
