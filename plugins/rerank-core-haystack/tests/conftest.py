"""These tests need Haystack, which has an environment of its own: see `.ci/frameworks`."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("haystack") else ["test_*.py"]
