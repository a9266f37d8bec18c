"""Write docs/providers.md from the facts of the installed plugins.

Run `python docs/generate_providers.py`; a test compares the page with what this makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rerank_core import ConfigurationError, Price, Provider, list_providers
from rerank_core._resolve.discovery import find_plugin
from rerank_core._resolve.hooks import ProviderHooks

PAGE = Path(__file__).with_name("providers.md")
HEAD = """# Providers

What each plugin of this repository states about its service. Generated from the plugins' own facts,
for each model that they list and for one that they do not, by `python docs/generate_providers.py`;
a test compares the page with the facts. What depends on an option, such as a route or a version, is
shown as it is without that option. Where models differ, each value names its models; *others* are
the remaining models, including any that the plugin does not know. Each plugin's
[README](../README.md#providers) says more.

*Native* parameters go to the service. *By core* means that `rerank-core` does it in place of the
service, with the same result. *Refused* ones raise `UnsupportedParamError`, or are left out with a
warning under `drop_params=True`. Documents always come back from the caller's own list.

"""
_BY_CORE = ("top_n", "rank_fields", "return_documents")
_NATIVE_ONLY = ("max_chunks_per_doc", "max_tokens_per_doc")
_LEFT_OUT = ("its own parameters", "its own options")  # where there are none
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
    if facts.api_key_required:
        hosts = facts.api_key_required_hosts
        return f"needed at {_code(hosts)}" if hosts else "needed"
    if callable(facts.auth):
        return "its own sign-in, see the README"
    return "optional" if facts.api_key_env else "none"


def _rows(
    name: str, aliases: Sequence[str], distribution: str, facts: Provider
) -> Mapping[str, str]:
    rows = {"distribution": f"`{distribution}`"}
    if aliases:
        rows["answers to"] = _code([name, *aliases])
    rows["documentation"] = f"<{facts.docs_url}>"
    rows["base URL"] = f"`{facts.base_url}`" if facts.base_url else "see the plugin's README"
    if not (facts.base_url or facts.base_url_env or facts.auth):
        rows["base URL"] = "none: in this process"
    for prefix, url in facts.base_urls_by_key.items():
        rows[f"base URL for keys `{prefix}…`"] = f"`{url}`"
    keys = f"; variables: {_code(facts.api_key_env)}" if facts.api_key_env else ""
    own = {**facts.options, **facts.secret_options}
    return rows | {
        "base URL variables": _code(facts.base_url_env),
        "key": f"{_need_of_key(facts)}{keys}",
        "native": _renamed(facts.params) or "none",
        "by core": _code([param for param in _BY_CORE if param not in facts.params]),
        "refused": _code([param for param in _NATIVE_ONLY if param not in facts.params]),
        "its own parameters": _renamed(facts.extra_params) or "none",
        "its own options": _code(list(own)),
        "mappings": "taken as they are" if facts.takes_mappings else "rendered as text by core",
        "blank documents": "taken" if facts.takes_blank_documents else "held back by core",
        "limits of a request": _limits(facts),
        "scores": _SCORES[facts.score_kind],
    }


def _unlisted(hooks: ProviderHooks) -> Mapping[str, Provider]:
    """The facts about a model that is not listed, where there can be one."""
    try:
        hooks.resolve_provider("no-such-model", {})
    except ConfigurationError:
        return {}
    return {"": hooks.resolve_provider("", {})}


def _value(what: str, rows_of: Mapping[str, Mapping[str, str]]) -> str:
    """What holds for all models, or each value with its models; "" is a model of any other name."""
    models: dict[str, list[str]] = {}
    for model, rows in rows_of.items():
        models.setdefault(rows.get(what, "none"), []).append(model)
    if len(models) == 1:
        return next(iter(models))
    named = [
        f"{_code(sorted(names))}: {value}" for value, names in models.items() if "" not in names
    ]
    others = [f"others: {value}" for value, names in models.items() if "" in names]
    return "; ".join([*named, *others])


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
    installed = {found.name: found for found in list_providers()}
    # The template for new plugins is none of a service.
    listed = {n: f for n, f in installed.items() if f.source.distribution != "rerank-example"}
    lines = []
    for name, found in listed.items():
        if found.facts is None:
            message = f"{name} is broken: {found.error}"
            raise SystemExit(message)
        if found.facts.name != name:
            continue
        aliases = [
            other
            for other, entry in listed.items()
            if entry.facts is not None and entry.facts.name == name and other != name
        ]
        hooks = find_plugin(name)
        facts_of = {model: hooks.resolve_provider(model, {}) for model in found.facts.models}
        rows_of = {
            model: _rows(name, aliases, str(found.source.distribution), facts)
            for model, facts in {**_unlisted(hooks), **facts_of}.items()
        }
        values = {what: _value(what, rows_of) for rows in rows_of.values() for what in rows}
        lines += [f"## {name}", "", "| | |", "| --- | --- |"]
        lines += [
            f"| {what} | {value} |"
            for what, value in values.items()
            if value != "none" or what not in _LEFT_OUT
        ]
        lines.append("")
        lines += _models(facts_of)
    return HEAD + "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
