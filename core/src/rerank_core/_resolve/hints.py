"""What to write instead: the nearest known name, for messages about unknown ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from rerank_core._resolve.options import OPTION_NAMES
from rerank_core._resolve.secrets import is_routing_name
from rerank_core.errors import UnsupportedParamError
from rerank_core.facts import Provider

# Less alike than this, a known name is another thing: a guess would mislead.
_ALIKE = 0.7
# For a keyword that says where to or with whose key, a false refusal is better than a leak.
_ALIKE_OPTION = 0.8
# What a keyword of litellm's and of other clients is called here, where that is not alike.
_OTHER_WORDS: Mapping[str, set[str]] = {
    "api_base": {"api_url", "base_url", "endpoint", "url"},
    "api_key": {"key", "token"},
    "timeout": {"request_timeout"},
    "top_n": {"k", "limit", "max_results", "n", "num_results", "topk"},
}
CALL_PARAMS = (
    "top_n",
    "rank_fields",
    "return_documents",
    "max_chunks_per_doc",
    "max_tokens_per_doc",
)
# Core honours these itself where the provider does not.
HONOURED = CALL_PARAMS[:3]


def nearest(name: str, known: Iterable[str], cutoff: float = _ALIKE) -> str | None:
    """The known name that is most like this one; `None` where none is near."""
    import difflib  # noqa: PLC0415 - slow to import, and only needed for an error

    words = [word for word in known if word != name]
    return next(iter(difflib.get_close_matches(name, words, n=1, cutoff=cutoff)), None)


def not_found(name: str, installed: Collection[str]) -> str:
    """What to say of a provider that no installed plugin answers to."""
    near = nearest(name, installed)
    advice = f"; did you mean {near!r}?" if near else "."
    listed = ", ".join(installed) or "none"
    package = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "<provider>"
    return (
        f"no installed plugin answers to the provider {name!r}{advice} Each provider comes with a"
        f" package of its own, by convention: pip install rerank-{package}. docs/providers.md has"
        f" the packages, and the other names that each answers to. Installed: {listed}."
    )


def _is_routing(name: str, facts: Provider) -> bool:
    """Whether an unknown keyword is meant for the connection: where to, or with whose key."""
    known = (*OPTION_NAMES, *facts.options, *facts.secret_options)
    return is_routing_name(name) or name in known or nearest(name, known, _ALIKE_OPTION) is not None


def leave_out(facts: Provider, name: str, *, drop: bool) -> str:
    """Refuse a parameter that nobody can honour, or say that it is left out.

    What may say where a request goes, or with whose key, is never left out.
    """
    if drop and (name in CALL_PARAMS or not _is_routing(name, facts)):
        return f"{facts.name} does not take {name!r}: left out"
    raise UnsupportedParamError(_unknown_param(facts, name), param=name)


def _unknown_param(facts: Provider, name: str) -> str:
    """What to say of a parameter that a call cannot carry, with the nearest that it can."""
    own = (*facts.extra_params, *facts.options, *facts.secret_options)
    if name in (*facts.options, *facts.secret_options, *OPTION_NAMES):
        return f"{name!r} belongs to the connection: give it to Reranker(...)"
    known = [*HONOURED, *facts.params, *own, *OPTION_NAMES]
    meant = (option for option, words in _OTHER_WORDS.items() if name in words)
    near = next(meant, None) or nearest(name, known)
    hint = f"; did you mean {near!r}?" if near else "; drop_params=True leaves it out"
    return f"{facts.name} does not take {name!r}{hint}"
