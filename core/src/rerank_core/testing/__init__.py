"""The conformance kit: what every provider plugin must keep, as checks.

State one `Case` and run all checks on it::

    from rerank_core.testing import Case, Check, conformance

    CASE = Case(plugin=rerank_acme, model="acme-1", ...)

    @conformance(CASE)
    def test_conformance(check: Check) -> None:
        check()

Without pytest: `rerank check-plugin rerank_acme`. Needs `pip install 'rerank-core[testing]'`.
"""

from rerank_core.testing._case import CANARY, Case, Example, Ranking
from rerank_core.testing._run import CHECKS, Check, Outcome, conformance, run_checks

__all__ = [
    "CANARY",
    "CHECKS",
    "Case",
    "Check",
    "Example",
    "Outcome",
    "Ranking",
    "conformance",
    "run_checks",
]
