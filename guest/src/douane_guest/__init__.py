"""Reads what a virtual machine will see in a disk image: volumes, file systems, files and packages.

Pure Python, without root, mounts, or another process. Every reader is a function of a `pread`, so the bytes may come
from a file, a store or a test. Whatever an image says is hostile: loops are bounded (`budget.py`), and three exceptions
leave this package (`errors.py`).
"""
