"""Faults that users met, each by its kind, through the public API alone."""
