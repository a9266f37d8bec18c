"""The two drivers, which carry out what flows ask for: one blocks, one awaits."""

from __future__ import annotations

import contextvars
import inspect
import queue
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from rerank_core._send.effects import DEADLINE_PASSED, Await, Flow, Gather, Run, Send
from rerank_core._send.loops import wake
from rerank_core._send.sending import asend, send
from rerank_core.errors import RequestTimeoutError


class BlockingDriver:
    """Runs flows in the calling thread, and flows side by side in threads of their own."""

    is_over = False  # nobody waits for its flows any longer
    waiting = frozenset[int]()  # threads that go on only after its flows, beside its own

    def run(self, flow: Flow) -> Any:
        """What the flow returns; nothing, where nobody waits for it any longer."""
        try:
            effect = next(flow)
            while not self.is_over:
                try:
                    outcome = self._carry_out(effect)
                except BaseException as error:  # noqa: BLE001 - raised where it was asked for
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
                try:
                    return _within(effect.deadline, partial(send, effect))
                except BaseException:
                    effect.is_over = True
                    raise
            case Run():
                return _within(effect.deadline, effect.function)
            case Await():
                if effect.thread in {threading.get_ident(), *self.waiting}:
                    return None  # in whose event loop this call is made
                return _result_of(effect.future, effect.deadline)
            case Gather():
                return self._gather(effect)
            case _:
                return time.sleep(effect.seconds)

    def _gather(self, effect: Gather) -> list[Any]:
        runner = BlockingDriver()
        runner.waiting = self.waiting | {threading.get_ident()}
        futures: list[Future[Any]] = [Future() for _ in effect.flows]
        waiting = deque(zip(effect.flows, futures, strict=True))
        ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()

        def work() -> None:
            while not runner.is_over:
                try:
                    flow, future = waiting.popleft()
                except IndexError:  # none is left
                    return
                _settle(future, partial(runner.run, flow))
                if future.exception() is not None:
                    runner.is_over = True  # at once: what follows would be paid for in vain
                ended.put(future)

        try:
            for _ in range(min(effect.limit, len(futures))):
                _start_thread(work)
            for _ in futures:
                ended.get().result()  # raises what failed first
            return [future.result() for future in futures]
        finally:
            runner.is_over = True


class AsyncDriver:
    """Runs flows in the running event loop, under asyncio or trio."""

    async def run(self, flow: Flow) -> Any:
        try:
            effect = next(flow)
            while True:
                try:
                    outcome = await self._carry_out(effect)
                except BaseException as error:  # noqa: BLE001 - raised where it was asked for
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
                return await _awithin(effect.deadline, partial(asend, effect))
            case Run():
                return await _awithin(effect.deadline, partial(_run, effect.function))
            case Await():
                return await _awithin(effect.deadline, partial(_until_done, effect.future))
            case Gather():
                return await self._gather(effect)
            case _:
                return await anyio.sleep(effect.seconds)

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


async def _run(function: Callable[[], Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function()
    future: Future[Any] = Future()
    async with anyio.to_thread.current_default_thread_limiter():
        # Not in one of its threads: at its end, asyncio's program would wait for what hangs.
        _start_thread(partial(_settle, future, function))
        found = await _until_done(future)
    return await found if inspect.isawaitable(found) else found


async def _until_done(future: Future[Any]) -> Any:
    loop, done = anyio.lowlevel.current_token().native_token, anyio.Event()
    future.add_done_callback(lambda _: wake(loop, done.set))
    await done.wait()
    return future.result()


async def _awithin(deadline: float | None, function: Callable[[], Awaitable[Any]]) -> Any:
    """Await what the function returns, and cancel it at the deadline."""
    if deadline is None:
        return await function()
    with anyio.move_on_after(_remaining(deadline)):
        return await function()
    raise RequestTimeoutError(DEADLINE_PASSED)


def _within(deadline: float | None, function: Callable[[], Any]) -> Any:
    """Call the function, and stop waiting for it at the deadline.

    A look-up of a name, a trickling reply and a long computation heed no timeout, so with a
    deadline they run in a thread that is left behind when it passes.
    """
    if deadline is None:
        return function()
    _remaining(deadline)
    future: Future[Any] = Future()
    _start_thread(partial(_settle, future, function))
    return _result_of(future, deadline)


def _result_of(future: Future[Any], deadline: float | None) -> Any:
    if not wait([future], None if deadline is None else _remaining(deadline)).done:
        raise RequestTimeoutError(DEADLINE_PASSED)
    return future.result()


def _settle(future: Future[Any], function: Callable[[], Any]) -> None:
    """Call the function, for whoever waits in another thread."""
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for it
        future.set_exception(error)


def _start_thread(function: Callable[[], None]) -> None:
    """Start a thread that no exit waits for, with the caller's context variables."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(function,), name="rerank", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        # What comes of an interrupt while `start` waits for the thread to have begun.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def _remaining(deadline: float) -> float:
    """The seconds until then."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise RequestTimeoutError(DEADLINE_PASSED)
    return seconds
