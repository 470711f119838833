"""Requests that carry the bytes of an image, inspected on their way into Glance."""
