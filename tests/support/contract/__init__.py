"""Recorded conversations between engine and runtime, played towards either side."""
