"""How long a service asks to wait, in all the forms that services use."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.conftest import Ask, Plugin, Service
from rerank_core import RateLimitError
from rerank_core._conclude.status import read_retry_after

NOW = 1_793_534_400.0  # Sun, 01 Nov 2026 12:00:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": " 5.5 "}, 5.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": ".5"}, 0.5),
        ({"retry-after": "."}, None),
        ({"retry-after": "1.2.3"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "+1"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "5, 7"}, None),
        ({"retry-after": "5s"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": "Sun, 01 Nov 2026 12:00:09 GMT"}, 9.0),
        ({"retry-after": "01 Nov 2026 12:00:09 -0000"}, 9.0),
        ({"retry-after": "Sun, 01 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 4e9),
        ({"retry-after": "Sun, 01 Nov 99999 12:00:09 GMT"}, None),
        ({"retry-after": "Sun, 32 Nov 2026 12:00:09 GMT"}, None),
        (
            {
                "retry-after": "Sun, 01 Nov 2026 12:00:09 GMT",
                "date": "Sun, 01 Nov 2026 12:00:04 GMT",
            },
            5.0,
        ),
        ({"retry-after": "Sun, 01 Nov 2026 12:00:09 GMT", "date": "today"}, 9.0),
        ({"x-reset": "3"}, 3.0),
        ({"x-reset": f"{NOW + 3:.0f}"}, 3.0),
        ({"x-reset": f"{NOW - 3:.0f}"}, 0.0),
        ({"x-reset": f"{NOW:.0f}", "date": "Sun, 01 Nov 2026 11:59:56 GMT"}, 4.0),
        ({"x-reset": "3", "retry-after": "5"}, 5.0),
        ({"x-reset": "3", "retry-after": "soon"}, 3.0),
        ({"x-other-reset": "3"}, 3.0),
        ({"x-reset": "soon", "x-other-reset": "3"}, 3.0),
        ({"x-unknown": "3"}, None),
    ],
)
def test_the_wait_that_a_service_asks_for_is_read(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Seconds, milliseconds, a date, or the provider's own headers; by the service's clock."""
    assert read_retry_after(headers, ("x-reset", "x-other-reset"), NOW) == seconds


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-reset", "date"]),
        st.text() | st.from_regex(r"\w{3}, \d+ (Nov|Jan) \d+ \d+:\d+:\d+ ([+-]\d+|GMT|)"),
    )
)
def test_no_header_breaks_the_reading(headers: dict[str, str]) -> None:
    """Whatever a service writes, the answer is a number from 0 or none."""
    seconds = read_retry_after(headers, ("x-reset",), NOW)

    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, {"message": 'busy: "wait": 3s'}),
        ({}, {"message": "busy", "details": [{"wait": "3s"}]}),
        ({}, {"message": 'busy: "wait": 3s', "details": [{"wait": "9s"}]}),
        ({"retry-after": "3"}, {"message": 'busy: "wait": 9s'}),
    ],
    ids=["message", "around it", "both", "header"],
)
def test_the_wait_may_be_in_the_words_of_an_error(
    ask: Ask, headers: dict[str, str], body: Any
) -> None:
    """Where no header says it and the provider states a pattern: in the message or around it."""
    plugin = Plugin(retry_after_pattern=r'"wait": ?"?(\d+)s')
    service = Service(httpx.Response(429, headers=headers, json=body))

    with pytest.raises(RateLimitError) as caught:
        ask(service, plugin=plugin, max_retries=0)

    assert caught.value.retry_after == 3
