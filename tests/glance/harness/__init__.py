"""A real Glance with a real Keystone on loopback: started, configured, killed and looked at by tests."""
