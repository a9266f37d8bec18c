"""What takes part: models as they are written on the command line, and rerankers by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from inspect import signature
from typing import Any
from urllib.parse import parse_qsl

from attrs import field, frozen

from rerank_core import ConfigurationError, Reranker, ResponseParseError, rerank
from rerank_core.wire import decode_json
from rerank_eval._calibration import Calibration
from rerank_eval._cascade import Cascade
from rerank_eval._cutoff import Cutoff
from rerank_eval._fusion import METHODS

FIRST_STAGE = "first stage"
CEILING = "ceiling"
TUNED = "tuned"

_CALL = {"max_chunks_per_doc", "max_tokens_per_doc", "rank_fields"}
_OPTIONS = {"api_base", "timeout", "max_retries", "deadline", "max_documents", "split_listwise"}
_CUTOFF = {"min_score", "min_results", "calibration", "force"}
# What would make another ranking appear under a model's name, or show a key in the list of
# processes, or has an option of the command.
_RESERVED = {*signature(Reranker).parameters, *signature(rerank).parameters} - _CALL - _OPTIONS
_RESERVED |= {"num_retries"}


@frozen
class Entrant:
    """A row of the table that is asked.

    Attributes:
        label: What the table calls it.
        reranker: Anything with the interface of a `Reranker`.
        params: For each call.
    """

    label: str
    reranker: Any = field(repr=False)
    params: Mapping[str, Any] = field(factory=dict)


@frozen
class Fused:
    """A row that is computed from the responses of others, without asking again.

    Attributes:
        label: What the table calls it.
        method: `rrf`, `weighted`, or `tuned`: weighted by what was best on the other queries.
        members: Labels of rows, `first stage` among them.
        weights: One for each.
    """

    label: str
    method: str
    members: tuple[str, ...]
    weights: tuple[float, ...]


def parse_entrant(text: str) -> Entrant:
    """Read `provider/model`, or `provider/model?name=value&name=value`.

    Beside the provider's own params and options these names are known: `api_base`, `timeout`,
    `max_retries`, `deadline`, `max_documents`, `split_listwise`, `max_tokens_per_doc`,
    `max_chunks_per_doc`; `min_score`, `min_results`, `calibration` and `force` make a `Cutoff`.

    Raises:
        ConfigurationError: A name may not be set here, or the model cannot be used.
    """
    model, given = split_spec(text)
    for name in given:
        if name in _RESERVED:
            raise ConfigurationError(
                f"{text}: {name} cannot be set here: a key comes from the environment, and nothing"
                " but the model itself may answer"
            )
    params = {name: given.pop(name) for name in _CALL & given.keys()}
    cut = {name: given.pop(name) for name in _CUTOFF & given.keys()}
    reranker: Any = Reranker(model, **given)
    if secret := given.keys() & getattr(_facts(reranker), "secret_options", {}).keys():
        raise ConfigurationError(f"{text}: {', '.join(secret)} is secret: set its variable instead")
    if cut:
        if "min_score" not in cut:
            raise ConfigurationError(f"{text}: {', '.join(sorted(cut))} goes with min_score")
        path = cut.pop("calibration", None)
        calibration = None if path is None else Calibration.load(str(path))
        if calibration:
            calibration.check_model(model, {**given, **params})
        reranker = Cutoff(reranker, calibration=calibration, params={**given, **params}, **cut)
    return Entrant(text, reranker, params)


def split_spec(text: str) -> tuple[str, dict[str, Any]]:
    """The model and the values of `provider/model?name=value`.

    Raises:
        ConfigurationError: What stands behind the `?` is something else.
    """
    model, mark, query = text.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(mark))
    except ValueError as error:
        message = f"{text}: write provider/model?name=value&name=value"
        raise ConfigurationError(message) from error
    return model, {name: _decode(value) for name, value in pairs}


def _facts(reranker: Any) -> Any:
    return getattr(reranker, "facts", None)


def _decode(value: str) -> Any:
    try:
        return decode_json(value.encode())
    except ResponseParseError:
        return value


def parse_cascade(text: str) -> Entrant:
    """Read `FIRST,THEN,DEPTH`, such as `local/bm25,local/minilm,20`."""
    first, *rest = text.split(",")
    if len(rest) != 2 or not rest[1].isdigit():  # noqa: PLR2004 - the two after the first
        raise ConfigurationError(f"write --cascade FIRST,THEN,DEPTH, not {text!r}")
    cheap, dear = parse_entrant(first), parse_entrant(rest[0])
    if cheap.params != dear.params:
        raise ConfigurationError(f"{text}: both models are called with the same params")
    cascade = Cascade(cheap.reranker, dear.reranker, int(rest[1]), on_failure="raise")
    return Entrant(f"{first} > {rest[0]} @{rest[1]}", cascade, cheap.params)


def parse_fused(text: str) -> Fused:
    """Read `METHOD=MODEL,MODEL`, with weights as in `weighted=0.3*first stage,0.7*local/minilm`."""
    method, _, listed = text.partition("=")
    members, weights = [], []
    for part in filter(None, listed.split(",")):
        weight, star, member = part.rpartition("*")
        try:
            weights.append(float(weight) if star else 1.0)
        except ValueError as error:
            raise ConfigurationError(f"--fuse {text}: {weight!r} is no weight") from error
        members.append(FIRST_STAGE if member in {"first-stage", "first"} else member)
    if method not in {*METHODS, TUNED} or len(members) < 2:  # noqa: PLR2004 - one needs no fusion
        ways = "|".join((*METHODS, TUNED))
        raise ConfigurationError(f"write --fuse {ways}=MODEL,MODEL, not {text!r}")
    shown = " + ".join(
        member if weight == 1 else f"{weight:g}*{member}"
        for member, weight in zip(members, weights, strict=True)
    )
    return Fused(f"{method}({shown})", method, tuple(members), tuple(weights))


def check_names(
    entrants: Iterable[Entrant], fused: Collection[Fused], baseline: str | None
) -> None:
    """Refuse the name of a row that there is not, before anything is asked and paid.

    Raises:
        ConfigurationError: A fusion has such a member, or the baseline is one; or a fusion stands
            twice, which Holm would count twice.
    """
    labels = [FIRST_STAGE, *(entrant.label for entrant in entrants)]
    for each in fused:
        if missing := [member for member in each.members if member not in labels]:
            raise ConfigurationError(
                f"{each.label}: {missing[0]} is none of {', '.join(labels)}: name it as a MODEL"
            )
    labels += [each.label for each in fused]
    if taken := sorted({label for label in labels if labels.count(label) > 1}):
        raise ConfigurationError(f"the table has {', '.join(taken)} already")
    if baseline is not None and baseline not in labels:
        raise ConfigurationError(f"the baseline {baseline!r} is none of {', '.join(labels)}")


def to_entrants(models: Iterable[str | Entrant] | Mapping[str, Any]) -> list[Entrant]:
    """Rerankers by name, or models as they are written.

    Raises:
        ConfigurationError: A name stands twice, or is that of a row which is always there.
    """
    if isinstance(models, Mapping):
        entrants = [Entrant(label, reranker) for label, reranker in models.items()]
    else:
        entrants = [parse_entrant(each) if isinstance(each, str) else each for each in models]
    labels = [entrant.label for entrant in entrants]
    if taken := sorted(
        {each for each in labels if labels.count(each) > 1 or each in {FIRST_STAGE, CEILING}}
    ):
        raise ConfigurationError(f"the table has {', '.join(taken)} already")
    return entrants
