"""What the operator configured: plugins in order, policy, limits. Reads files, starts nothing."""
