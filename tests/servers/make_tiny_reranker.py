"""Make a cross-encoder of 26,000 random weights: `python make_tiny_reranker.py FOLDER`.

It runs in the environment of the server, needs no model hub, and always makes the same model,
which puts documents into a fixed order without any meaning.
"""

# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-call"

from __future__ import annotations

import sys

import torch
from tokenizers import (
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SENTENCES = [
    "Paris is the capital of France, and Berlin is in Germany.",
    "Bananas are yellow; who grows them, and where?",
    "A reranker reads the query and a document, and gives a score.",
    "Documents 1 2 3 4 5 6 7 8 9 0 answer question 10987654321, and what is that?",
    "Just six quick foxes jump over a very lazy dog in Zurich.",
]
MAX_TOKENS = 128


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Train a WordPiece vocabulary and join query and document as BERT does."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.WordPieceTrainer(vocab_size=125, special_tokens=SPECIAL_TOKENS)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    names = {f"{name.strip('[]').lower()}_token": name for name in SPECIAL_TOKENS}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=MAX_TOKENS, **names)


def main(folder: str) -> None:
    """Save tokenizer and model to the folder."""
    torch.manual_seed(7)
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=MAX_TOKENS,
        num_labels=1,  # else the server takes it for a classifier, which cannot rerank
        initializer_range=0.5,  # wide enough for scores that differ
    )
    BertForSequenceClassification(config).save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1])
