"""Partition tables: MBR with logical partitions, GPT."""
