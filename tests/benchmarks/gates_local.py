"""Speed of local models that can be checked anywhere: shares of what onnxruntime takes by itself.

`pytest tests/benchmarks/gates_local.py` runs them, in a minute; no run of all tests finds them.
"""

from __future__ import annotations

from statistics import median

import pytest

from benchmarks.local_models import Comparison, compare, measure_peaks

pytestmark = pytest.mark.timeout(900)  # a machine that does much else takes minutes
DOCUMENTS, ROUNDS = 8, 5
# An idle machine shows 0.95 and more: see docs/local-models.md.
LEAST_SHARE = 0.8


@pytest.fixture(scope="module")
def found() -> Comparison:
    """Both by turns, in one thread: others wait for their turn, and waiting takes time, too."""
    return compare(DOCUMENTS, ROUNDS, intra_op_num_threads=1)


def test_each_input_is_computed_once(found: Comparison) -> None:
    """So the batches, which both are given, are no more than there must be."""
    shapes = [feed["input_ids"].shape for feed in found.feeds]

    assert shapes[0][0] == 1  # the query
    assert [rows for rows, _ in shapes[1:]] == [DOCUMENTS]
    assert max(length for _, length in shapes) <= 256


def test_minilm_takes_little_more_than_onnxruntime_with_the_same_batches(found: Comparison) -> None:
    """By processor time: tokens, windows, pooling and cosines are next to nothing."""
    assert median(found.shares["speed by processor time"]) >= LEAST_SHARE


def test_minilm_needs_little_more_memory_than_onnxruntime(found: Comparison) -> None:
    """Both in a process of their own, where the greatest batch decides."""
    ours, direct = measure_peaks(found.feeds, DOCUMENTS)

    assert direct / ours >= LEAST_SHARE
