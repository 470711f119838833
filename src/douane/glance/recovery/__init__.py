"""What a killed Glance leaves behind."""
