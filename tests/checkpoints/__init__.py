"""Checkpoints of torch. The folder is not called so: `tests` is on the path, and torch a module."""
