"""Hostile replies: what a service, or whoever stands between, may send instead of a ranking."""
