"""What a job has spent, and its caps: reserved before a request, settled after it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from attrs import Factory, define, frozen

from rerank_core import Meta, Price, RerankError
from rerank_jobs._sent import GOOD, Attempt, Sent, tokens_of

_BYTES_PER_TOKEN = 4.0
_CAUTION = 2.0  # times the dearest seen: what a request may cost at most


@frozen
class Caps:
    """The most that a job may spend over all its runs; `None` for no cap.

    Attributes:
        requests: Attempts, retries among them.
        tokens: As the service counts them; estimated where it does not.
        usd: US dollars.
    """

    requests: int | None = None
    tokens: int | None = None
    usd: float | None = None


class CapReachedError(RerankError):
    """Nothing more may be sent: the cap is reached. The row stays pending."""


@define
class Ledger:
    """What was spent, what is reserved, and what a request is likely to need.

    Attributes:
        caps: The caps.
        price: The model's list price.
        requests: Attempts so far, those of earlier runs among them.
        tokens: So far, estimated where the service does not count them.
        usd: Dollars so far; likewise.
        unknown_costs: Rows that no cost is known of.
    """

    caps: Caps
    price: Price | None = None
    requests: int = 0
    tokens: int = 0
    usd: float = 0.0
    unknown_costs: int = 0
    _reserved: list[float] = Factory(lambda: [0.0, 0.0, 0.0])
    _under_way: int = 0
    _open: set[Sent] = Factory(set)
    _waiting: set[Sent] = Factory(set)
    _per_byte: float = 1 / _BYTES_PER_TOKEN
    _most_per_byte: float = 1 / _BYTES_PER_TOKEN
    _most_units: float = 1.0
    _changed: asyncio.Event = Factory(asyncio.Event)

    def restore(self, usage: Mapping[str, Any]) -> None:
        """Add what a row of an earlier run took."""
        if not (attempts := usage.get("attempts")):
            return
        self.requests += attempts
        self.tokens += usage.get("tokens") or 0
        self._add_cost(usage.get("cost"))

    def is_reached(self, *, likely: bool = False) -> bool:
        """Whether what was spent leaves nothing; or is likely to, with rows that have not ended."""
        spent, caps = self._spent(), self._caps()
        if likely:
            answered = [
                each for sent in self._open for each in sent.attempts if each.status in GOOD
            ]
            tokens = self.tokens + sum(each.tokens for each in answered)
            spent = (self.requests, tokens, self.usd + sum(each.usd for each in answered))
        return any(cap is not None and one >= cap for one, cap in zip(spent, caps, strict=True))

    async def reserve(self, size: int, sent: Sent) -> Attempt:
        """Wait until a request fits; where that is not sure, until it is alone.

        Args:
            size: Bytes of its body.
            sent: Of its row.

        Raises:
            CapReachedError: Nothing is left.
        """
        try:
            while not self._fits(need := self._most(size, sent.of_pairs)):
                alone = self._is_alone(sent)
                if self.is_reached(likely=alone):
                    raise CapReachedError("the cap is reached")
                if alone:
                    break
                is_news = sent in self._open and sent not in self._waiting
                self._waiting.add(sent)
                if is_news:  # those who wait for this row to end need not any more
                    self._tell()
                await self._changed.wait()
        finally:
            self._waiting.discard(sent)
        self._under_way += 1
        self.requests += 1
        self._hold(need, 1)
        tokens = size * self._per_byte
        return Attempt(size, tokens, self._price_of(tokens, self._most_units), need)

    def finish(self, sent: Sent, attempt: Attempt) -> None:
        """End a request: what a good one took is known when its row ends.

        An error is not billed; of a request without a reply nobody knows.
        """
        self._under_way -= 1
        if attempt.status in GOOD:
            self._open.add(sent)
        else:
            self._hold(attempt.reserved, -1)
            if attempt.status is None:
                self._guess(attempt)
        self._tell()

    def give_back(self, attempt: Attempt) -> None:
        """End a request that was not sent."""
        self._under_way -= 1
        self.requests -= 1
        self._hold(attempt.reserved, -1)
        self._tell()

    def settle(
        self, sent: Sent, meta: Meta, cost: float | None
    ) -> tuple[int | None, float | None, float]:
        """Count what a ranking took: a cap holds as well where the service does not say it.

        Returns:
            Tokens and dollars, both estimated where the service does not say them; and how many
            more tokens than estimated.
        """
        tokens = tokens_of(meta)
        answered = [each for each in sent.attempts if each.status in GOOD]
        if not answered:
            return tokens, cost, 0.0
        sent.is_settled = True
        self._learn(answered, tokens, meta)
        estimated = sum(each.tokens for each in answered)
        if tokens is None:
            tokens = round(estimated)
        if cost is None and self.price is not None:
            cost = sum(each.usd for each in answered)
        self.tokens += tokens
        self._add_cost(cost)
        return tokens, cost, tokens - estimated

    def close(self, sent: Sent) -> None:
        """End a row: nothing is reserved for it any more."""
        for attempt in sent.attempts:
            if attempt.status in GOOD:
                self._hold(attempt.reserved, -1)
                if not sent.is_settled:
                    self._guess(attempt)
        self._open.discard(sent)
        self._tell()

    def _tell(self) -> None:
        """Let those who wait look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _guess(self, attempt: Attempt) -> None:
        self.tokens += round(attempt.tokens)
        self.usd += attempt.usd

    def _is_alone(self, sent: Sent) -> bool:
        """Whether nothing is under way that may yet cost more than is known."""
        return not self._under_way and self._open <= self._waiting | {sent}

    def _learn(self, answered: list[Attempt], tokens: int | None, meta: Meta) -> None:
        if tokens and (size := sum(each.size for each in answered)):
            seen = tokens / size
            is_first = self._most_per_byte == self._per_byte == 1 / _BYTES_PER_TOKEN
            self._per_byte = seen if is_first else 0.9 * self._per_byte + 0.1 * seen
            self._most_per_byte = seen if is_first else max(seen, self._most_per_byte)
        if units := meta.billed_units.search_units:
            self._most_units = max(self._most_units, units / len(answered))

    def _hold(self, amounts: tuple[int, float, float], sign: int) -> None:
        for at, amount in enumerate(amounts):
            self._reserved[at] += sign * amount

    def _add_cost(self, cost: float | None) -> None:
        self.usd += cost or 0.0
        self.unknown_costs += cost is None

    def _spent(self) -> tuple[int, float, float]:
        return self.requests, self.tokens, self.usd

    def _caps(self) -> tuple[int | None, int | None, float | None]:
        return self.caps.requests, self.caps.tokens, self.caps.usd

    def _most(self, size: int, of_pairs: int) -> tuple[int, float, float]:
        """What a request takes at most; requests are counted at once, so none is reserved."""
        # A token is at least a byte; a service that adds an instruction to each pair is learnt.
        tokens = max(size + of_pairs, size * self._most_per_byte * _CAUTION)
        return 0, tokens, self._price_of(tokens, self._most_units * _CAUTION)

    def _price_of(self, tokens: float, units: float) -> float:
        if self.price is None:
            return 0.0
        return self.price.usd * (units if self.price.unit == "search_units" else tokens)

    def _fits(self, need: tuple[int, float, float]) -> bool:
        sums = zip(self._spent(), self._reserved, need, self._caps(), strict=True)
        return not self.is_reached() and all(
            cap is None or spent + reserved + more <= cap for spent, reserved, more, cap in sums
        )
