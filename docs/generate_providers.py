"""Write docs/providers.md from the facts of the installed plugins.

Run `python docs/generate_providers.py`; a test compares the page with what this makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rerank_core import InstalledProvider, Price, Provider, list_providers

PAGE = Path(__file__).with_name("providers.md")
HEAD = """# Providers

What each plugin of this repository states about its service. Made from the plugins' own facts by
`python docs/generate_providers.py`, so that page and behaviour cannot differ.

*Native* parameters go to the service. *By core* means that `rerank-core` does it in the service's
stead, with the same result. *Refused* ones raise `UnsupportedParamError`, or are left out with a
warning under `drop_params=True`. Documents always come back from the caller's own list.

"""
_BY_CORE = ("top_n", "rank_fields", "return_documents")
_NATIVE_ONLY = ("max_chunks_per_doc", "max_tokens_per_doc")
_SCORES = {
    "probability": "0 to 1",
    "logit": "a logit: any real number",
    "opaque": "comparable within one response only",
}


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _renamed(params: Mapping[str, str]) -> str:
    return ", ".join(
        f"`{name}`" if name == wire else f"`{name}` (as `{wire}`)" for name, wire in params.items()
    )


def _limits(facts: Provider) -> str:
    limits = {
        "documents": facts.max_documents,
        "bytes of documents": facts.max_request_bytes,
        "characters a document": facts.max_document_chars,
        "characters of query": facts.max_query_chars,
    }
    return ", ".join(f"{most:,} {what}" for what, most in limits.items() if most) or "none known"


def _need_of_key(facts: Provider) -> str:
    if not facts.api_key_required:
        return "not needed, or see the README"
    hosts = facts.api_key_required_hosts
    return f"needed at {_code(hosts)}" if hosts else "needed"


def _rows(
    name: str, aliases: Sequence[str], listed: InstalledProvider
) -> Iterator[tuple[str, str]]:
    facts = listed.facts
    if facts is None:
        message = f"{name} is broken: {listed.error}"
        raise SystemExit(message)
    yield "distribution", f"`{listed.source.distribution}`"
    if aliases:
        yield "answers to", _code([name, *aliases])
    yield "documentation", f"<{facts.docs_url}>"
    yield "base URL", f"`{facts.base_url}`" if facts.base_url else "see the plugin's README"
    for prefix, url in facts.base_urls_by_key.items():
        yield f"base URL for keys `{prefix}…`", f"`{url}`"
    yield "base URL variables", _code(facts.base_url_env)
    yield "key", f"{_need_of_key(facts)}; variables: {_code(facts.api_key_env)}"
    yield "native", _renamed(facts.params) or "none"
    yield "by core", _code([param for param in _BY_CORE if param not in facts.params])
    yield "refused", _code([param for param in _NATIVE_ONLY if param not in facts.params])
    if facts.extra_params:
        yield "its own parameters", _renamed(facts.extra_params)
    if facts.options or facts.secret_options:
        yield "its own options", _code([*facts.options, *facts.secret_options])
    yield "mappings", "taken as they are" if facts.takes_mappings else "rendered as text by core"
    yield "blank documents", "taken" if facts.takes_blank_documents else "held back by core"
    yield "limits of a request", _limits(facts)
    yield "scores", _SCORES[facts.score_kind]


def _price(price: Price) -> str:
    per, what = (
        (1000, "1,000 searches") if price.unit == "search_units" else (1_000_000, "1M tokens")
    )
    return f"{price.usd * per:.3f} per {what} ({price.as_of})"


def _models(facts_of: Mapping[str, Provider]) -> Iterator[str]:
    if not facts_of:
        return
    yield "| model | context | scoring | list price, US$ | switched off |"
    yield "| --- | ---: | --- | --- | --- |"
    for model, facts in facts_of.items():
        dated = _price(facts.price) if facts.price else "not known"
        context = f"{facts.max_tokens:,}" if facts.max_tokens else ""
        scoring = "listwise" if facts.listwise else "pointwise"
        yield f"| `{model}` | {context} | {scoring} | {dated} | {facts.retires or ''} |"
    yield ""


def make_page() -> str:
    """The whole page."""
    from rerank_core._plugins import find_plugin  # noqa: PLC0415 - asks for each model

    installed = {found.name: found for found in list_providers()}
    # The template for new plugins is none of a service.
    listed = {n: f for n, f in installed.items() if f.source.distribution != "rerank-example"}
    lines = []
    for name, found in listed.items():
        facts = found.facts
        if facts is not None and facts.name != name:
            continue
        aliases = [
            other
            for other, entry in listed.items()
            if entry.facts is not None and entry.facts.name == name and other != name
        ]
        lines += [f"## {name}", "", "| | |", "| --- | --- |"]
        lines += [f"| {what} | {value} |" for what, value in _rows(name, aliases, found)]
        lines.append("")
        models = facts.models if facts else ()
        lines += _models({m: find_plugin(name).resolve_provider(m, {}) for m in models})
    return HEAD + "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
