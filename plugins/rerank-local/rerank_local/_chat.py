"""Chat templates: how a cross-encoder's query and document are laid out, where a folder says so.

They are rendered as `transformers` and sentence-transformers render them:
https://sbert.net/docs/cross_encoder/usage/usage.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import field, frozen

from rerank_core import ConfigurationError
from rerank_local._files import read_stated

# What stands in a template that reads a message's content as a list of parts.
_PARTS = ("content[0]", ".type", "'type'", '"type"', "message.content[")
# Each differs from the first in one text, in its first character and its length.
_PROBES = (("alpha", "bravo"), ("charlie", "bravo"), ("alpha", "foxtrot"))
_OUTPUT_OPTIONS = {"padding", "truncation", "max_length", "return_tensors", "restore_suffix"}


@frozen
class Chat:
    """A template and what it is rendered with.

    Attributes:
        name: The folder, for messages.
        template: In the language of Jinja.
        parts: Whether a message's content is a list of parts.
        variables: Special tokens, and what else the folder says.
    """

    name: str
    template: str = field(repr=False)
    parts: bool
    variables: Mapping[str, Any]

    def open(self, query: str, prompt: str) -> Callable[[str], str]:
        """What lays out a document behind a query and a prompt.

        Raises:
            ConfigurationError: The template cannot be rendered, or leaves out one of the two.
        """
        render = self._compile()
        first, *others = (render(*pair, "") for pair in _PROBES)
        for role, other in zip(("query", "document"), others, strict=True):
            if other == first:
                self._fail(f"its chat template leaves out the role {role!r}")
        return lambda document: render(query, document, prompt)

    def _compile(self) -> Callable[[str, str, str], str]:
        try:
            import jinja2  # noqa: PLC0415 - only where there is a template
            from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 - likewise
        except ModuleNotFoundError as error:
            message = f"{self.name}: its chat template needs pip install jinja2"
            raise ConfigurationError(message) from error

        def refuse(message: str) -> None:
            raise jinja2.TemplateError(message)

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _write_json
        environment.globals["raise_exception"] = refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)  # noqa: DTZ005 - as transformers does

        def render(query: str, document: str, prompt: str) -> str:
            texts = {"system": prompt, "query": query, "document": document}
            messages = [
                {"role": role, "content": [{"type": "text", "text": text}] if self.parts else text}
                for role, text in texts.items()
                if text or role != "system"
            ]
            variables = {"add_generation_prompt": False, "tools": None, "documents": None}
            try:
                return template.render(messages=messages, **{**variables, **self.variables})
            except Exception as error:  # whatever a template may do
                self._fail(f"its chat template cannot be rendered: {error}", error)
                raise

        try:
            template = environment.from_string(self.template)
        except jinja2.TemplateError as error:
            self._fail(f"its chat template cannot be read: {error}", error)
        return render

    def _fail(self, what: str, cause: Exception | None = None) -> None:
        message = (
            f"{self.name}: {what}. A reranker's template names the roles query and document: put"
            " the model's own in chat_template.jinja, or give document_prompt= and"
            " document_suffix= to lay the texts out without it"
        )
        raise ConfigurationError(message) from cause


def _write_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:  # noqa: FBT001, FBT002 - as templates call it
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def read_chat(
    folder: Path, file: Path | None, tokenizer: Mapping[str, Any], module: Mapping[str, Any]
) -> Chat | None:
    """The chat template of a folder; `None` where there is none, or it is not used.

    Args:
        folder: For messages.
        file: `chat_template.jinja`.
        tokenizer: What the files say of the tokenizer.
        module: What `sentence_bert_config.json` says.

    Raises:
        ConfigurationError: The folder asks for something that is not done here.
    """
    template = file.read_text(encoding="utf-8") if file else tokenizer.get("chat_template")
    if isinstance(template, list):  # several by name
        entries = (entry for entry in template if isinstance(entry, dict))
        template = {entry.get("name"): entry.get("template") for entry in entries}.get("default")
    where = f"{folder}: sentence_bert_config.json"
    modalities = read_stated(module, "modality_config", dict, where) or {}
    if not isinstance(template, str) or (modalities and "message" not in modalities):
        return None
    stated = read_stated(module, "processing_kwargs", dict, where) or {}
    given = dict(read_stated(stated, "chat_template", dict, where) or {})
    others = [name for name, value in stated.items() if value and name != "chat_template"]
    if others or given.get("restore_suffix") is False:
        what = others[0] if others else "restore_suffix"
        message = (
            f"{where} has processing_kwargs with {what!r}, which is not done here: run the"
            " checkpoint as local/sentence-transformers:<folder>"
        )
        raise ConfigurationError(message)
    form = (read_stated(modalities, "message", dict, where) or {}).get("format")
    tokens = {name: value for name, value in tokenizer.items() if name.endswith("_token")}
    texts = {
        name: value.get("content") if isinstance(value, dict) else value
        for name, value in tokens.items()
    }
    return Chat(
        name=str(folder),
        template=template,
        parts=form == "structured" or (form != "flat" and any(part in template for part in _PARTS)),
        variables={
            **{name: text for name, text in texts.items() if isinstance(text, str)},
            **{name: value for name, value in given.items() if name not in _OUTPUT_OPTIONS},
        },
    )
