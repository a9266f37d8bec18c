"""These tests need what the recipes are about, in an environment of its own: `.ci/frameworks`."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("qdrant_client") else ["test_*.py"]
