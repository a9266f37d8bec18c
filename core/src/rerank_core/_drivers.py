"""The two that carry out what flows ask for: one blocks, one awaits."""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread

from rerank_core._effects import Flow, Gather, Run, Send, Sleep
from rerank_core._sending import (
    build_plain_request,
    build_request,
    choose_auth,
    read_reply,
    translate_error,
)
from rerank_core.errors import RequestTimeoutError, RerankError

if TYPE_CHECKING:
    from rerank_core._models import HTTPResponse

T = TypeVar("T")


class BlockingDriver:
    """Runs flows in the calling thread, and flows side by side in threads of their own."""

    def run(self, flow: Flow, stop: threading.Event | None = None) -> Any:
        """What the flow returns.

        Args:
            flow: What to run.
            stop: Set where nobody waits for the outcome any more.
        """
        try:
            effect = next(flow)
            while stop is None or not stop.is_set():
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
                return _within(effect.deadline, lambda: self._send(effect))
            case Run():
                return _within(effect.deadline, effect.function)
            case Gather():
                return self._gather(effect)
            case Sleep():
                return time.sleep(effect.seconds)
            case _:
                raise TypeError(effect)

    def _send(self, effect: Send) -> HTTPResponse:
        pools = effect.target.connections.pools()
        channel = pools.borrow()
        client = channel.client
        try:
            if transport := channel.shortcut(effect.target):
                with contextlib.closing(
                    transport.handle_request(build_plain_request(client, effect))
                ) as reply:
                    reply.read()
                    return read_reply(reply)
            request = build_request(client, effect)
            auth = choose_auth(client, effect.target)
            return read_reply(client.send(request, auth=auth, follow_redirects=False))
        except Exception as error:  # noqa: BLE001 - sorted out there, and raised again
            return translate_error(error, client, effect)
        finally:
            pools.give_back()

    def _gather(self, effect: Gather) -> list[Any]:
        waiting = deque(enumerate(effect.flows))
        ended: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
        stop = threading.Event()

        def work() -> None:
            while waiting and not stop.is_set():
                try:
                    at, flow = waiting.popleft()
                except IndexError:  # another thread took the last
                    return
                outcome, error = _outcome(partial(self.run, flow, stop))
                if error is not None:
                    stop.set()  # at once: what follows would be paid for in vain
                ended.put((at, outcome, error))

        for _ in range(min(effect.limit, len(effect.flows))):
            _start_thread(work)
        outcomes: list[Any] = [None] * len(effect.flows)
        try:
            for _ in effect.flows:
                at, outcomes[at], error = ended.get()
                if error is not None:
                    raise error
        finally:
            stop.set()
        return outcomes


def _outcome(function: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """What a function returns or raises, to be handed to another thread."""
    try:
        return function(), None
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for it
        return None, error


def _start_thread(function: Callable[[], None]) -> None:
    """Start a thread that no exit waits for, with the caller's context variables."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(function,), name="rerank", daemon=True).start()


def _within(deadline: float | None, function: Callable[[], Any]) -> Any:
    """Call the function, and stop waiting for it at the deadline.

    A look-up of a name, a trickling reply and a long computation heed no timeout, so with a
    deadline they run in a thread that is left behind when it passes.
    """
    if deadline is None:
        return function()
    remaining = _remaining(deadline)
    box: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    _start_thread(lambda: box.put(_outcome(function)))
    try:
        outcome, error = box.get(timeout=remaining)
    except queue.Empty:
        raise _deadline_passed() from None
    if error is not None:
        raise error
    return outcome


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
        channel = await effect.target.connections.pools().of_loop()
        client = channel.client
        try:
            if transport := channel.shortcut(effect.target):
                reply = await transport.handle_async_request(build_plain_request(client, effect))
                await reply.aread()
                return read_reply(reply)
            request = build_request(client, effect)
            auth = choose_auth(client, effect.target)
            return read_reply(await client.send(request, auth=auth, follow_redirects=False))
        except Exception as error:  # noqa: BLE001 - sorted out there, and raised again
            return translate_error(error, client, effect)

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
    with anyio.move_on_after(_remaining(deadline)) as scope:
        yield
    if scope.cancelled_caught:
        raise _deadline_passed()


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise _deadline_passed()
    return remaining


def _deadline_passed() -> RequestTimeoutError:
    return RequestTimeoutError("the deadline has passed")
