"""Douane's examination of formats, oslo.utils' and qemu-img's, side by side on images with known labels."""
