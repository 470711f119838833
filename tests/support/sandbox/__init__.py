"""A process in a sandbox, a delegated cgroup, and a Python that another user can run."""
