"""These tests need LangChain, which has an environment of its own: see `.ci/frameworks`."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("langchain_core") else ["test_*.py"]
