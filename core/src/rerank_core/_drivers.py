"""The two that carry out what flows ask for: one blocks, one awaits."""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from rerank_core._effects import Flow, Gather, Run, Send, Sleep
from rerank_core._http.direct import build_direct_request
from rerank_core._threads import (
    Wait,
    deadline_passed,
    outcome_of,
    remaining,
    start_thread,
    within,
)
from rerank_core._translation import translate_error
from rerank_core.errors import RerankError

if TYPE_CHECKING:
    from rerank_core._models import HTTPResponse


class BlockingDriver:
    """Runs flows in the calling thread, and flows side by side in threads of their own.

    Args:
        wait: Of whoever wants the outcome.
    """

    def __init__(self, wait: Wait | None = None) -> None:
        self._wait = wait or Wait()

    def run(self, flow: Flow) -> Any:
        """What the flow returns; nothing, where nobody waits for it any longer."""
        try:
            effect = next(flow)
            while not self._wait.is_over():
                try:
                    outcome = self._carry_out(effect)
                except RerankError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    def _carry_out(self, effect: Any) -> Any:
        match effect:
            case Send():
                if effect.deadline is None:
                    return self._send(effect)
                wait = Wait(self._wait)
                sender = BlockingDriver(wait)
                return within(effect.deadline, lambda: sender._send(effect), wait)
            case Run():
                return within(effect.deadline, effect.function, Wait())
            case Gather():
                return self._gather(effect)
            case Sleep():
                return time.sleep(effect.seconds)
            case _:
                raise TypeError(effect)

    def _send(self, effect: Send) -> HTTPResponse:
        channel = effect.target.connections.channels().blocking(self._wait.is_over)
        client = None
        try:
            if channel.pool is not None and (request := build_direct_request(effect)) is not None:
                max_bytes = effect.target.options.max_response_bytes
                reply: HTTPResponse = channel.pool.send(request, max_bytes)
                return reply
            from rerank_core._http.client_sending import send_by_client  # noqa: PLC0415 - httpx where it is needed

            with channel.borrowed_client() as client:
                return send_by_client(client, effect)
        except Exception as error:  # noqa: BLE001 - sorted out there, and raised again
            translate_error(error, effect, client)

    def _gather(self, effect: Gather) -> list[Any]:
        waiting = deque(enumerate(effect.flows))
        ended: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
        wait = Wait(self._wait)
        runner = BlockingDriver(wait)

        def work() -> None:
            while waiting and not wait.is_over():
                try:
                    at, flow = waiting.popleft()
                except IndexError:  # another thread took the last
                    return
                outcome, error = outcome_of(partial(runner.run, flow))
                if error is not None:
                    wait.over = True  # at once: what follows would be paid for in vain
                ended.put((at, outcome, error))

        outcomes: list[Any] = [None] * len(effect.flows)
        try:
            for _ in range(min(effect.limit, len(effect.flows))):
                start_thread(work)
            for _ in effect.flows:
                at, outcomes[at], error = ended.get()
                if error is not None:
                    raise error
        finally:
            wait.over = True
        return outcomes


class AsyncDriver:
    """Runs flows in the running event loop, under asyncio or trio."""

    async def run(self, flow: Flow) -> Any:
        """What the flow returns."""
        try:
            effect = next(flow)
            while True:
                try:
                    outcome = await self._carry_out(effect)
                except RerankError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    async def _carry_out(self, effect: Any) -> Any:
        match effect:
            case Send():
                with _deadline_scope(effect.deadline):
                    return await self._send(effect)
            case Run():
                with _deadline_scope(effect.deadline):
                    return await anyio.to_thread.run_sync(effect.function, abandon_on_cancel=True)
            case Gather():
                return await self._gather(effect)
            case Sleep():
                return await anyio.sleep(effect.seconds)
            case _:
                raise TypeError(effect)

    async def _send(self, effect: Send) -> HTTPResponse:
        channel = await effect.target.connections.channels().of_loop()
        client = None
        try:
            if channel.pool is not None and (request := build_direct_request(effect)) is not None:
                max_bytes = effect.target.options.max_response_bytes
                reply: HTTPResponse = await channel.pool.send(request, max_bytes)
                return reply
            from rerank_core._http.client_sending import asend_by_client  # noqa: PLC0415 - as above

            client = channel.client
            return await asend_by_client(client, effect)
        except Exception as error:  # noqa: BLE001 - sorted out there, and raised again
            translate_error(error, effect, client)

    async def _gather(self, effect: Gather) -> list[Any]:
        outcomes: list[Any] = [None] * len(effect.flows)
        failures: list[Exception] = []
        limiter = anyio.Semaphore(effect.limit)

        async def work(at: int, flow: Flow) -> None:
            async with limiter:
                try:
                    outcomes[at] = await self.run(flow)
                except Exception as error:  # noqa: BLE001 - raised below, not in a group
                    failures.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for at, flow in enumerate(effect.flows):
                group.start_soon(work, at, flow)
        if failures:
            raise failures[0]
        return outcomes


@contextlib.contextmanager
def _deadline_scope(deadline: float | None) -> Iterator[None]:
    """Cancel what is awaited inside at the deadline."""
    if deadline is None:
        yield
        return
    with anyio.move_on_after(remaining(deadline)) as scope:
        yield
    if scope.cancelled_caught:
        raise deadline_passed()
