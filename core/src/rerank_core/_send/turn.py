"""One model's turn in a call: how far it may go, and whom its errors are about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define

from rerank_core._conclude.status import describe
from rerank_core._resolve.secrets import Hide, client_secrets, named_secrets
from rerank_core._resolve.target import Target
from rerank_core._send.effects import Flow, Route, Run, Send
from rerank_core._send.retry import Clock
from rerank_core._send.telling import Tally
from rerank_core.errors import RerankError
from rerank_core.records.exchange import HTTPResponse

MANY = 1000
"""Documents; work on more than so many does not run in an event loop."""


@define
class Turn:
    """One model's turn in a call.

    Attributes:
        route: The model, and what to send with.
        deadline: When its turn is over, by the clock's `monotonic`; `None` for never.
        tally: Of the call.
        clock: What time it is.
        has_next: Whether another model can be asked.
    """

    route: Route
    deadline: float | None
    tally: Tally
    clock: Clock
    has_next: bool

    @property
    def target(self) -> Target:
        """The model."""
        return self.route.target

    def hide(self, error: RerankError | None = None, send: Send | None = None) -> Hide:
        """What takes secrets out of a text, those that only the sender knows among them."""
        own: Any = error._secrets if error is not None else ()  # noqa: SLF001 - of our own class
        sent = () if send is None or send.sent is None else named_secrets(send.sent)
        client = client_secrets(self.route.connections.http_client)
        return self.target.hider((*sent, *client, *(secret.value for secret in own)))

    def describe(
        self, error: RerankError, reply: HTTPResponse | None = None, send: Send | None = None
    ) -> None:
        """Say on an error where it happened, without any secret."""
        describe(error, self.target, self.hide(error, send), reply)


def run_if_many(function: Callable[[], Any], documents: int) -> Flow:
    """Do work at once, or as an effect where it would hold up an event loop."""
    if documents > MANY:
        return (yield Run(function))
    return function()
