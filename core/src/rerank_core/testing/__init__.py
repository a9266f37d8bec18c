"""For tests: doubles for applications, and the conformance kit for provider plugins.

An application hands a `FakeProvider` to its `Reranker`, or takes the pytest fixture `rerank_fake`
from here, which answers in the place of every service and lets nothing be sent::

    from rerank_core.testing import rerank_fake

    def test_search(rerank_fake):
        rerank_fake.scores = {"Paris": 0.9}

A plugin states one `Case`, and all checks of the kit run on it::

    from rerank_core.testing import Case, Check, conformance

    CASE = Case(plugin=rerank_acme, model="acme-1", ...)

    @conformance(CASE)
    def test_conformance(check: Check) -> None:
        check()

Without pytest: `rerank check-plugin rerank_acme`. The doubles need nothing but rerank-core; the
checks need `pip install 'rerank-core[testing]'`.
"""

from typing import TYPE_CHECKING, Any

from rerank_core.testing._case import CANARY, Case, Example, Ranking
from rerank_core.testing._fake import FakeProvider
from rerank_core.testing._run import CHECKS, Check, Outcome, conformance, run_checks

__all__ = [
    "CANARY",
    "CHECKS",
    "Case",
    "Check",
    "Example",
    "FakeProvider",
    "Outcome",
    "Ranking",
    "conformance",
    "run_checks",
]

if TYPE_CHECKING:
    from rerank_core.testing.fixtures import rerank_fake as rerank_fake
else:

    def __getattr__(name: str) -> Any:
        """The fixture, which alone needs pytest."""
        if name != "rerank_fake":
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message, name=name)
        from rerank_core.testing.fixtures import rerank_fake  # noqa: PLC0415 - needs pytest

        return rerank_fake
