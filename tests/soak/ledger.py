"""Whether the outcomes of all calls and the server's ledger tell one story."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from attrs import define, field

from rerank_core import RequestTimeoutError, RerankError, TransportError
from soak.behaviours import is_refused
from soak.calls import MAX_RETRIES, RIGHT, UNKNOWN, Outcomes, count_parts
from soak.faults import FAULTS

Parts = Sequence[Sequence[str]]
Ledger = Mapping[str, Sequence[str]]
MOST_NAMED = 20


@define(eq=False)
class Account:
    """What was found when outcomes were held against the ledger.

    Attributes:
        attempts: Requests that the server saw.
        first: Of these, first attempts.
        cut: Parts that may have been given up while they waited for another attempt.
        late: Attempts that were answered, but in vain: the client's patience was over.
        unseen: Attempts that a closed connection swallowed before the server saw them.
        unsent: Attempts that may have ended before they were sent: a call took longer than one
            may, and no stall of the server's explains it.
        refused: Calls that went to where nobody listens.
        faults: How often each fault was met.
        wrong: What does not fit; empty when all is well.
    """

    attempts: int = 0
    first: int = 0
    cut: int = 0
    late: int = 0
    unseen: int = 0
    unsent: int = 0
    refused: int = 0
    faults: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)

    @property
    def again(self) -> int:
        """Requests that the server saw beyond the first."""
        return self.attempts - self.first


def reconcile(outcomes: Outcomes, ledger: Ledger, timeout: float) -> Account:
    """Hold each call's outcome against what the server did to it."""
    account = Account()
    parts_of: dict[int, list[Sequence[str]]] = defaultdict(list)
    for key, attempts in ledger.items():
        parts_of[int(key.partition("/")[0])].append(attempts)
        account.faults.update(attempts)
    account.attempts, account.first = account.faults.total(), len(ledger)
    for call in range(outcomes.calls):
        parts = parts_of.pop(call, [])
        if is_refused(call):
            complaint = _complaint_of_refused(call, outcomes, parts, account)
        else:
            complaint = _complaint(call, outcomes, parts, account, timeout)
        if complaint and len(account.wrong) < MOST_NAMED:
            account.wrong.append(f"call {call}: {complaint}; the server did {parts}")
    account.wrong += [f"call {call}: nobody made it" for call in parts_of]
    return account


def _complaint(
    call: int, outcomes: Outcomes, parts: Parts, account: Account, timeout: float
) -> str:
    """What is wrong about one call, in words."""
    if outcomes.codes[call] == UNKNOWN:
        return "lost"
    error, expected = outcomes.error_of(call), count_parts(call)
    if error is None and outcomes.codes[call] != RIGHT:
        return "the answer to something else"
    impatient = outcomes.seconds[call] >= timeout
    vain = [name for attempts in parts for name in attempts[:-1] if not FAULTS[name].retried]
    account.late += len(vain)
    met = [FAULTS[name] for attempts in parts for name in attempts]
    stalls = sum(RequestTimeoutError in fault.errors for fault in met)
    timeouts = expected * min(int(outcomes.seconds[call] / timeout), MAX_RETRIES)
    account.unsent += max(timeouts - stalls, 0)
    if vain and not impatient:
        return f"sent again after {vain[0]!r}"
    if len(parts) > expected or any(len(attempts) > 1 + MAX_RETRIES for attempts in parts):
        return "more requests than there may be"
    if error is None:
        answered = [FAULTS[attempts[-1]].answers for attempts in parts]
        return "" if answered == [True] * expected else "right, though something failed"
    account.cut += expected - 1
    late = impatient and issubclass(error, RequestTimeoutError)
    explained = _explains(error, parts, account) or late
    return "" if explained else f"an unexplained {error.__name__}"


def _complaint_of_refused(call: int, outcomes: Outcomes, parts: Parts, account: Account) -> str:
    """The same of a call that went to where nobody listens."""
    account.refused += 1
    refused = outcomes.error_of(call) is TransportError and not parts
    return "" if refused else "nobody could have answered"


def _explains(error: type[RerankError], parts: Parts, account: Account) -> bool:
    """Whether what the server did to one of the parts leads to the error."""
    for attempts in parts:
        last = FAULTS[attempts[-1]]
        if not issubclass(error, last.errors):
            continue
        missing = 1 + MAX_RETRIES - len(attempts) if last.retried else 0
        if missing and "reset after" not in attempts:
            continue
        account.unseen += missing
        return True
    return False
