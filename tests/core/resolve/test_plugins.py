"""Discovery: a plugin is imported when it is named, and harms only whoever names it."""

from __future__ import annotations

import asyncio
import importlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import importlib_metadata
import pytest

from rerank_core import (
    Compute,
    ConfigurationError,
    PluginError,
    Provider,
    ProviderNotFoundError,
    Reranker,
    RerankError,
    RerankRequest,
    RerankResponse,
    RerankResult,
    UnsupportedParamError,
    arerank,
    hookimpl,
    list_providers,
    register,
    rerank,
    unregister,
)
from rerank_core._client import functions
from rerank_core._resolve import discovery
from rerank_core._resolve.target import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rerank_core import InstalledProvider

PLUGINS = Path(__file__).parents[2] / "fixtures" / "plugins"
DOCUMENTS = ["short", "much longer", "longer"]

# What naming each broken plugin says, besides its distribution and version.
FAULTS = {
    "raises_on_import": (
        "rerank-fixture-raises-on-import 1.1",
        "import failed (RuntimeError: the moon is in the wrong place)",
    ),
    "exits_on_import": (
        "rerank-fixture-exits-on-import 1.2",
        "import failed (SystemExit: goodbye)",
    ),
    "lacks_hook": ("rerank-fixture-lacks-hook 1.3", "parse_response"),
    "unknown_argument": ("rerank-fixture-unknown-argument 1.4", "temperature"),
    "raises_in_facts": (
        "rerank-fixture-raises-in-facts 1.5",
        "resolve_provider raised OSError: no facts today",
    ),
    "exits_in_facts": (
        "rerank-fixture-exits-in-facts 1.8",
        "resolve_provider raised SystemExit: goodbye",
    ),
    "wrong_facts": ("rerank-fixture-wrong-facts 1.6", "resolve_provider returned dict"),
}


# Puts fixture plugins on the path, so that discovery finds them as if installed.
Install = Callable[..., None]


def forget_fixture_modules() -> None:
    """Take the fixture plugins out of `sys.modules`."""
    for name in [name for name in sys.modules if name.startswith("rerank_fixture_")]:
        del sys.modules[name]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install fixture plugins for one test; discovery starts anew before and after."""
    discovery._installed.cache_clear()  # noqa: SLF001 - as in a new process
    monkeypatch.setattr(functions, "_kept", Kept())
    monkeypatch.setattr(sys, "path", sys.path.copy())

    def put(*cases: str) -> None:
        sys.path[:0] = [str(PLUGINS / case) for case in cases]
        importlib.invalidate_caches()

    with mock.patch.dict(discovery.plugins, clear=True):
        yield put
    forget_fixture_modules()


def make_plugin(name: str, score: float = 1.0) -> SimpleNamespace:
    """A plugin that is not installed; it gives every document the same score."""

    @hookimpl
    def resolve_provider() -> Provider:
        return Provider(name=name, api_key_required=False, auth=None)

    @hookimpl
    def map_params() -> dict[str, Any]:
        return {}

    @hookimpl
    def build_request(request: RerankRequest) -> Compute:
        return Compute(lambda: len(request.documents))

    @hookimpl
    def parse_response(payload: int) -> RerankResponse:
        return RerankResponse([RerankResult(at, score) for at in range(payload)])

    return SimpleNamespace(
        resolve_provider=resolve_provider,
        map_params=map_params,
        build_request=build_request,
        parse_response=parse_response,
    )


def listing() -> dict[str, InstalledProvider]:
    """The listing by name."""
    return {listed.name: listed for listed in list_providers()}


def test_an_installed_plugin_answers(install: Install) -> None:
    """A plugin whose distribution is on the path needs nothing more than its name."""
    install("healthy")

    response = rerank("healthy/any", "query", DOCUMENTS)

    assert [result.index for result in response.results] == [1, 2, 0]
    assert response.provider == "healthy"


def test_a_plugin_is_found_without_its_metadata(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which takes long to read, and is of use in listings and errors alone."""
    install("healthy", "raises_on_import")

    def refuse(_: object) -> None:
        raise AssertionError("the metadata was read")

    monkeypatch.setattr(importlib_metadata.Distribution, "metadata", property(refuse))

    assert rerank("healthy/any", "query", DOCUMENTS).provider == "healthy"
    with pytest.raises(AssertionError, match="the metadata was read"):
        rerank("raises_on_import/any", "query", DOCUMENTS)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("No package metadata was found."),  # or a kind of it
        KeyError("Metadata field Version not present"),
    ],
    ids=["none", "no version"],
)
def test_a_plugin_without_metadata_is_named_by_its_provider(
    install: Install, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """In errors and in the listing; and it is there after `unregister`, too."""
    install("healthy", "raises_on_import")

    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(importlib_metadata.Distribution, "metadata", property(refuse))

    assert rerank("healthy/any", "query", DOCUMENTS).provider == "healthy"
    unregister("healthy")
    assert rerank("healthy/any", "query", DOCUMENTS).provider == "healthy"
    assert listing()["healthy"].error is None
    with pytest.raises(PluginError, match="the plugin for 'raises_on_import': import failed"):
        rerank("raises_on_import/any", "query", DOCUMENTS)


def test_an_alias_answers_as_the_provider_itself(install: Install) -> None:
    """Two entry points of one module are two names for one provider."""
    install("healthy")

    response = rerank("healthy_alias/any", "query", DOCUMENTS)

    assert response.provider == "healthy"
    assert [result.index for result in response.results] == [1, 2, 0]


def test_an_alias_has_a_line_of_its_own_in_the_listing(install: Install) -> None:
    """The alias is listed by its own name, with the facts of the provider behind it."""
    install("healthy")

    listed = listing()["healthy_alias"]

    assert listed.facts is not None
    assert listed.facts.name == "healthy"
    assert listed.error is None


@pytest.mark.parametrize("case", FAULTS)
def test_a_broken_plugin_fails_for_whoever_names_it(install: Install, case: str) -> None:
    """The error names distribution, version and fault."""
    install("healthy", case)
    source, fault = FAULTS[case]

    with pytest.raises(PluginError) as caught:
        rerank(f"{case}/any", "query", DOCUMENTS)

    assert source in caught.value.message
    assert fault in caught.value.message
    assert f"{caught.value.distribution} {caught.value.version}" == source
    assert caught.value.provider == case


@pytest.mark.parametrize("case", FAULTS)
def test_a_broken_plugin_harms_no_other(install: Install, case: str) -> None:
    """Another provider answers before and after the broken one was named."""
    install(case, "healthy")

    before = rerank("healthy/any", "query", DOCUMENTS)
    with pytest.raises(PluginError):
        rerank(f"{case}/any", "query", DOCUMENTS)
    after = rerank("healthy_alias/any", "query", DOCUMENTS)

    assert [result.index for result in before.results] == [1, 2, 0]
    assert [result.index for result in after.results] == [1, 2, 0]


@pytest.mark.parametrize("case", FAULTS)
def test_the_listing_shows_a_broken_plugin_as_text(install: Install, case: str) -> None:
    """What is wrong stands beside its name, and all others are listed as usual."""
    install(case, "healthy")
    source, fault = FAULTS[case]

    listed = listing()

    assert listed[case].facts is None
    assert source in (listed[case].error or "")
    assert fault in (listed[case].error or "")
    assert listed["healthy"].error is None
    assert listed["local"].error is None


@pytest.mark.parametrize("case", ["healthy", *FAULTS])
def test_the_listing_names_the_source_of_every_plugin(install: Install, case: str) -> None:
    """Whoever has to uninstall or update it learns from the record what it is."""
    install(case)

    source = listing()[case].source

    assert source.distribution == f"rerank-fixture-{case.replace('_', '-')}"
    assert source.version is not None


def test_a_plugin_that_fails_in_a_later_hook_fails_then(install: Install) -> None:
    """Its facts are in order, so the listing shows them; the call fails and names it."""
    install("raises_in_request")

    with pytest.raises(PluginError) as caught:
        rerank("raises_in_request/any", "query", DOCUMENTS)

    assert "rerank-fixture-raises-in-request 1.7" in str(caught.value)
    assert "build_request raised RuntimeError: no request today" in str(caught.value)
    assert (caught.value.provider, caught.value.model) == ("raises_in_request", "any")
    assert listing()["raises_in_request"].error is None


def test_the_cause_of_a_failed_import_is_chained(install: Install) -> None:
    """The traceback leads to the line in the plugin."""
    install("raises_on_import")

    with pytest.raises(PluginError) as caught:
        rerank("raises_on_import/any", "query", DOCUMENTS)

    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_failed_import_is_tried_again(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin mended meanwhile answers in the same process."""
    install("hangs")
    monkeypatch.delenv("RERANK_FIXTURE_HANGS", raising=False)  # its import raises KeyError then

    with pytest.raises(PluginError, match="KeyError"):
        rerank("hangs/any", "query", DOCUMENTS)
    sys.path.insert(0, str(PLUGINS / "healthy"))
    healthy = importlib.import_module("rerank_fixture_healthy")
    monkeypatch.setitem(sys.modules, "rerank_fixture_hangs", healthy)

    assert rerank("hangs/any", "query", DOCUMENTS).results[0].index == 1


def test_two_distributions_that_claim_one_name_are_refused(install: Install) -> None:
    """Neither is preferred: the error names both, with their versions."""
    install("claims_first", "claims_second", "healthy")

    with pytest.raises(ConfigurationError) as caught:
        rerank("claimed/any", "query", DOCUMENTS)

    assert "rerank-fixture-claims-first 2.0" in caught.value.message
    assert "rerank-fixture-claims-second 2.1" in caught.value.message
    assert "uninstall" in caught.value.message
    assert caught.value.provider == "claimed"


def test_a_claim_beside_a_plugin_in_use_is_listed(install: Install) -> None:
    """What is loaded goes on; the listing says that a new process would refuse it."""
    install("claims_first")
    first = listing()["claimed"].error
    install("claims_second")
    later = listing()["claimed"].error

    assert first is None
    assert "both claim" in (later or "")


def test_unregistering_an_installed_plugin_leaves_it_alone(install: Install) -> None:
    """What was not registered cannot be taken back."""
    install("healthy")
    with Reranker("healthy/any") as reranker:
        reranker.rerank("query", DOCUMENTS)
        unregister("healthy")

        assert reranker.is_current()


def test_a_claim_harms_only_the_name_claimed(install: Install) -> None:
    """Others answer, the listing shows the clash as text, and neither claimant is imported."""
    install("claims_first", "claims_second", "healthy")

    listed = listing()
    response = rerank("healthy/any", "query", DOCUMENTS)

    assert "rerank-fixture-claims-first 2.0" in (listed["claimed"].error or "")
    assert "rerank-fixture-claims-second 2.1" in (listed["claimed"].error or "")
    assert listed["claimed"].facts is None
    assert response.results[0].index == 1
    assert not {name for name in sys.modules if name.startswith("rerank_fixture_claims")}


def test_one_distribution_found_twice_makes_no_claim_against_itself(
    install: Install, tmp_path: Path
) -> None:
    """A second copy further down the path is shadowed, as every module is."""
    install("healthy")
    shutil.copytree(PLUGINS / "healthy", tmp_path / "copy")
    sys.path.append(str(tmp_path / "copy"))

    response = rerank("healthy/any", "query", DOCUMENTS)

    assert response.provider == "healthy"


def wait_for(path: Path) -> None:
    """Return once a file is there."""
    until = time.monotonic() + 5
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.005)


def install_changed(folder: Path, change: Callable[[str], str]) -> None:
    """Install a copy of the healthy plugin with other code."""
    copied = shutil.copytree(PLUGINS / "healthy", folder / "changed")
    source = copied / "rerank_fixture_healthy.py"
    source.write_text(change(source.read_text(encoding="utf-8")), encoding="utf-8")
    sys.path.insert(0, str(copied))
    importlib.invalidate_caches()


@pytest.mark.usefixtures("install")
def test_a_plugin_that_asks_for_itself_on_import_is_named(tmp_path: Path) -> None:
    """It is not there yet: an error, and no waiting for ever."""
    ask = 'import rerank_core\nrerank_core.rerank("healthy/any", "q", ["a"])\n'
    first_import = "from rerank_core"
    install_changed(tmp_path, lambda code: code.replace(first_import, f"{ask}\n{first_import}", 1))
    with pytest.raises(PluginError, match=r"import failed .*no @hookimpl function"):
        rerank("healthy/any", "query", DOCUMENTS)


@pytest.mark.usefixtures("install")
def test_a_plugin_that_is_asked_for_while_it_loads_is_whole_afterwards(tmp_path: Path) -> None:
    """What was found of it half loaded is not kept."""
    ask = 'import rerank_core\nrerank_core.Reranker("healthy/any")\n'
    observe = "@hookimpl\ndef observe(event):\n    seen.append(event)\n"
    install_changed(tmp_path, lambda code: f"{code}\nseen = []\n{ask}\n{observe}")
    rerank("healthy/any", "query", DOCUMENTS)

    assert sys.modules["rerank_fixture_healthy"].seen


def test_a_plugin_that_hangs_holds_up_nobody_else(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While one thread waits for its import, others load and call their own providers."""
    install("hangs", "healthy")
    monkeypatch.setenv("RERANK_FIXTURE_HANGS", str(tmp_path))
    outcomes: list[RerankResponse | BaseException] = []

    def call() -> None:
        try:
            outcomes.append(rerank("hangs/any", "query", DOCUMENTS))
        except BaseException as error:  # noqa: BLE001 - judged in the main thread
            outcomes.append(error)

    waiting = [threading.Thread(target=call) for _ in range(2)]
    for thread in waiting:
        thread.start()
    try:
        wait_for(tmp_path / "started")
        response = rerank("healthy/any", "query", DOCUMENTS)
        with pytest.raises(ProviderNotFoundError):
            rerank("absent/any", "query", DOCUMENTS)
        meanwhile = list(outcomes)
    finally:
        (tmp_path / "release").touch()
        for thread in waiting:
            thread.join()

    assert response.results[0].index == 1
    assert meanwhile == []
    assert [type(outcome) for outcome in outcomes] == [RerankResponse, RerankResponse]


def test_nothing_is_imported_before_it_is_named(install: Install) -> None:
    """Naming one provider, or one that does not exist, imports no other."""
    install(*FAULTS, "healthy", "hangs", "claims_first", "claims_second")

    rerank("healthy/any", "query", DOCUMENTS)
    with pytest.raises(ProviderNotFoundError):
        rerank("absent/any", "query", DOCUMENTS)

    imported = {name for name in sys.modules if name.startswith("rerank_fixture_")}
    assert imported == {"rerank_fixture_healthy"}


def test_importing_the_package_imports_neither_plugins_nor_httpx() -> None:
    """`import rerank_core` is cheap; checked in a fresh interpreter."""
    code = (
        "import json, sys, rerank_core;"
        "print(json.dumps([m for m in sys.modules if m == 'httpx' or m.startswith('rerank_')]))"
    )

    command = [sys.executable, "-c", code]
    output = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603 - our own code

    names = {name.partition(".")[0] for name in json.loads(output)}
    assert names == {"rerank_core"}


def test_metadata_is_scanned_once_and_again_for_a_miss(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often plugins are looked for: a notebook may install one meanwhile."""
    install("healthy", "raises_on_import")
    scans = []
    entry_points = importlib_metadata.entry_points

    def count(**selection: str) -> Any:
        scans.append(selection)
        return entry_points(**selection)

    monkeypatch.setattr(importlib_metadata, "entry_points", count)

    for name in ("healthy", "healthy_alias", "raises_on_import", "absent", "healthy"):
        try:
            rerank(f"{name}/any", "query", DOCUMENTS)
        except RerankError:
            continue

    assert scans == [{"group": "rerank_core.providers"}] * 2


def test_an_unknown_provider_is_answered_with_what_is_installed(install: Install) -> None:
    """The message lists the names, the nearest one, and by which name its package would go."""
    install("healthy", "raises_on_import")

    with pytest.raises(ProviderNotFoundError) as caught:
        rerank("healhty/any", "query", DOCUMENTS)

    message = caught.value.message
    assert "'healhty'; did you mean 'healthy'?" in message
    assert "raises_on_import" in message.partition("Installed: ")[2]
    assert "local" in message.partition("Installed: ")[2]
    assert "pip install rerank-healhty" in message


def test_an_unknown_provider_far_from_all_others_gets_no_guess(install: Install) -> None:
    """A far-fetched suggestion would mislead."""
    install("healthy")

    with pytest.raises(ProviderNotFoundError) as caught:
        rerank("zzz_qqq/any", "query", DOCUMENTS)

    assert "did you mean" not in caught.value.message
    assert "the provider 'zzz_qqq'. Each provider" in caught.value.message
    assert "pip install rerank-zzz-qqq" in caught.value.message


@pytest.mark.parametrize("name", ["Healthy", "HEALTHY", " healthy", "healthy "])
def test_provider_names_are_exact(install: Install, name: str) -> None:
    """Another spelling is another provider."""
    install("healthy")

    with pytest.raises(ProviderNotFoundError):
        rerank(f"{name}/any", "query", DOCUMENTS)


def test_custom_llm_provider_names_the_provider_and_leaves_the_model_whole(
    install: Install,
) -> None:
    """A model with a `/` of its own is not split then."""
    install("healthy")

    response = rerank("some/model", "query", DOCUMENTS, custom_llm_provider="healthy")

    assert (response.provider, response.model) == ("healthy", "some/model")


@pytest.mark.parametrize("model", ["", "  ", "healthy", "healthy/", "/any", None])
def test_a_model_without_a_provider_is_refused(install: Install, model: Any) -> None:
    """The message shows how to write it."""
    install("healthy")

    with pytest.raises(ConfigurationError, match="local/bm25"):
        rerank(model, "query", DOCUMENTS)


def test_a_registered_plugin_answers_until_it_is_unregistered(install: Install) -> None:
    """`register` returns the name by which models find it; `unregister` takes it back."""
    install()

    name = register(make_plugin("mine"))
    response = rerank("mine/any", "query", DOCUMENTS)
    listed = listing()["mine"]
    unregister(name)

    assert name == "mine"
    assert response.provider == "mine"
    assert listed.facts is not None
    with pytest.raises(ProviderNotFoundError):
        rerank("mine/another", "query", DOCUMENTS)


def test_a_call_that_answered_is_refused_once_its_plugin_is_unregistered(install: Install) -> None:
    """What the functions keep between calls does not outlive the plugin."""
    install()
    register(make_plugin("mine"))
    rerank("mine/any", "query", DOCUMENTS)

    unregister("mine")

    with pytest.raises(ProviderNotFoundError):
        rerank("mine/any", "query", DOCUMENTS)


def test_a_plugin_registered_anew_replaces_the_old_one(install: Install) -> None:
    """As in a notebook, where a plugin is edited and registered again."""
    install()
    register(make_plugin("mine", score=1.0))
    before = rerank("mine/any", "query", ["document"])

    unregister("mine")
    register(make_plugin("mine", score=2.0))
    after = rerank("mine/any", "query", ["document"])

    assert before.results[0].relevance_score == 1.0
    assert after.results[0].relevance_score == 2.0


def test_a_name_that_is_taken_cannot_be_registered(install: Install) -> None:
    """Neither over an installed plugin nor over a registered one."""
    install("healthy")
    register(make_plugin("mine"))

    for name in ("healthy", "healthy_alias", "mine", "local"):
        with pytest.raises(ConfigurationError, match=f"'{name}' is taken"):
            register(make_plugin(name))


def test_registering_a_broken_plugin_says_what_is_wrong(install: Install) -> None:
    """It is refused when it is handed over, not when it is called."""
    install()
    plugin = make_plugin("mine")
    del plugin.build_request

    with pytest.raises(PluginError, match=r"build_request: no @hookimpl function"):
        register(plugin)


def test_unregistering_an_unknown_name_is_no_error(install: Install) -> None:
    """It may stand in a `finally`."""
    install("healthy")

    unregister("never-registered")
    unregister("healthy")

    assert rerank("healthy/any", "query", DOCUMENTS).provider == "healthy"


def test_a_reranker_takes_a_plugin_that_is_not_installed(install: Install) -> None:
    """Handed over as an object, with the model whole, and found by nobody else."""
    install()

    response = Reranker("some/model", provider=make_plugin("mine")).rerank("query", DOCUMENTS)

    assert (response.provider, response.model) == ("mine", "some/model")
    assert "mine" not in listing()


def test_a_reranker_takes_a_module(install: Install) -> None:
    """The same, for a module that was imported by hand."""
    install()
    sys.path.insert(0, str(PLUGINS / "healthy"))
    module = importlib.import_module("rerank_fixture_healthy")

    response = Reranker("any", provider=module).rerank("query", DOCUMENTS)

    assert [result.index for result in response.results] == [1, 2, 0]


def test_a_broken_module_that_was_handed_over_is_named(install: Install) -> None:
    """It has no distribution, so the message names the module."""
    install()
    sys.path.insert(0, str(PLUGINS / "lacks_hook"))
    module = importlib.import_module("rerank_fixture_lacks_hook")

    with pytest.raises(PluginError) as caught:
        Reranker("any", provider=module)

    assert "rerank_fixture_lacks_hook" in caught.value.message
    assert caught.value.distribution is None


def test_the_name_of_a_plugin_is_not_the_plugin() -> None:
    """`provider=` takes a module; the message says where a name goes."""
    with pytest.raises(ConfigurationError, match="or custom_llm_provider='cohere'"):
        Reranker("rerank-v3.5", provider="cohere")


def _options_of_calls(monkeypatch: pytest.MonkeyPatch, plugin: Any) -> list[Any]:
    """Notes each time that the plugin's facts are asked for, with the options."""
    asked: list[Any] = []
    facts = plugin.resolve_provider

    @hookimpl
    def resolve_provider(options: Any) -> Provider:
        asked.append(options)
        return facts()  # type: ignore[no-any-return]

    monkeypatch.setattr(plugin, "resolve_provider", resolve_provider)
    return asked


@pytest.mark.usefixtures("install")
@pytest.mark.parametrize(
    ("options", "kept"),
    [
        pytest.param({"extra_body": {"user": "u"}}, True, id="small"),
        pytest.param({"extra_body": {"user": "u" * 100_000}}, False, id="large"),
        pytest.param({"fallbacks": ["counted/m2"]}, True, id="a list of models"),
        pytest.param({"timeout": 5}, True, id="a number"),
    ],
)
def test_what_is_kept_of_a_call_is_small(
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    kept: bool,  # noqa: FBT001 - what is expected
) -> None:
    """A large body would stay in memory for as long as two hundred others are asked."""
    plugin = make_plugin("counted")
    asked = _options_of_calls(monkeypatch, plugin)
    register(plugin)
    rerank("counted/m", "q", DOCUMENTS, **options)
    first = len(asked)
    rerank("counted/m", "q", DOCUMENTS, **options)

    assert (len(asked) == first) is kept


@pytest.mark.usefixtures("install")
def test_an_option_that_is_a_named_tuple_is_refused_like_any_other() -> None:
    """It can be looked up by, but what is inside it would not be told apart."""

    class Pair(NamedTuple):
        one: int

    register(make_plugin("counted"))
    with pytest.raises(UnsupportedParamError, match="counted does not take 'pair'"):
        rerank("counted/m", "q", DOCUMENTS, pair=Pair(1))


def test_a_fallback_is_a_model_or_a_reranker(install: Install) -> None:
    """A list of anything else cannot be looked up by, and is refused with its reason."""
    install("healthy")
    wrong: Any = [5]

    with pytest.raises(ConfigurationError, match="5 is neither"):
        rerank("healthy/m", "q", DOCUMENTS, fallbacks=wrong)


@pytest.mark.parametrize("through", ["Reranker", "rerank", "arerank", "a fallback"])
@pytest.mark.usefixtures("install")
def test_that_a_model_goes_away_is_said_where_the_caller_stands(through: str) -> None:
    """Once; the warning shows the line that names the model."""
    name = f"leaving_{through.replace(' ', '_')}".lower()
    plugin = make_plugin(name)
    facts = Provider(name=name, api_key_required=False, auth=None, retires="2020-01-02")
    plugin.resolve_provider = hookimpl(lambda: facts)
    register(plugin)
    register(make_plugin("staying"))

    async def wait() -> None:
        await arerank(f"{name}/m", "q", DOCUMENTS)

    ways: dict[str, Callable[[], Any]] = {
        "Reranker": lambda: Reranker(f"{name}/m"),
        "rerank": lambda: rerank(f"{name}/m", "q", DOCUMENTS),
        "arerank": lambda: asyncio.run(wait()),
        "a fallback": lambda: Reranker("staying/m", fallbacks=[f"{name}/m"]),
    }
    with pytest.warns(FutureWarning, match="was switched off on 2020-01-02") as caught:
        ways[through]()

    assert [warning.filename for warning in caught] == [__file__]
