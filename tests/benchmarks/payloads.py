"""What every client sends, and the answer it must get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from math import gcd, isclose

MODEL = "rerank-v3.5"
KEY = "test-key"
QUERY = "which clause of the contract limits the liability of the supplier after delivery"
WORDS = 100


@cache
def documents(count: int) -> list[str]:
    """So many documents of a hundred words, the same in every run.

    One word in 400 needs care: it is not ASCII, or holds a quotation mark or a backslash.
    """
    numbers = _random_numbers(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [
        "".join(letters[next(numbers) % 26] for _ in range(2 + next(numbers) % 8))
        for _ in range(500)
    ]
    words += ["caf\u00e9", "na\u00efve", "\u201cquoted\u201d", 'say "no"', "a\\b"]
    return [" ".join(words[next(numbers) % len(words)] for _ in range(WORDS)) for _ in range(count)]


def _random_numbers(state: int) -> Iterator[int]:
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        yield state >> 33


def body(sent: Sequence[str]) -> dict[str, object]:
    """A request as Cohere's API takes it."""
    return {"model": MODEL, "query": QUERY, "documents": sent, "top_n": len(sent)}


def expected_index(count: int, rank: int) -> int:
    """The document that the mock server puts at `rank` among `count`."""
    step = max(1, int(0.618 * count))
    while gcd(step, count) != 1:
        step += 1
    return (count // 2 + rank * step) % count


def expected_score(count: int, rank: int) -> float:
    """The score that it gives there."""
    return round(0.999 - 0.99 * rank / count, 8)


def check_answer(pairs: Iterable[tuple[int, float]], count: int) -> None:
    """Raise unless this is the mock server's answer.

    Args:
        pairs: Index and score of each result, best first.
        count: How many documents were sent.

    Raises:
        ValueError: It is another one.
    """
    found = list(pairs)
    if len(found) != count:
        raise ValueError(f"{len(found)} results for {count} documents")
    for rank, (index, score) in enumerate(found):
        wanted = expected_index(count, rank), expected_score(count, rank)
        if index != wanted[0] or not isclose(score, wanted[1], abs_tol=1e-6):
            raise ValueError(f"rank {rank}: {(index, score)} instead of {wanted}")
