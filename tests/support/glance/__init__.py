"""A real Glance with a real Keystone on loopback, which tests configure, start, kill and examine."""
