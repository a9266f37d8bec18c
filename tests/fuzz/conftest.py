"""The budget of examples for a night; conftest is read before a profile is looked up."""

from hypothesis import settings

settings.register_profile("long", max_examples=10_000)
