"""Runs one plugin on many images, one after the other, in one cage. Python 3.9 and newer."""
