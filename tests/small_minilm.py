"""A folder such as MiniLM is loaded from, with an encoder of a few numbers and a tokeniser of a few words."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Final

from anneal import Tensor, dtypes, nn
from anneal.examples.minilm_files import Config
from anneal.ir.dtype import DType

WORDS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "dog", "sits", "runs", "on", "the", "mat", ".", "grün", "猫")
CONFIG: Final[dict[str, Any]] = {
    "hidden_act": "gelu",
    "hidden_size": 8,
    "intermediate_size": 16,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 40,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "vocab_size": len(WORDS),
}


def write(folder: Path, dtype: DType = dtypes.float32) -> Path:
    """Write the files, the same ones each time; returns the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    write_tokenizer(folder / "tokenizer.json")
    nn.state.safe_save(weights(folder, dtype), folder / "model.safetensors")
    return folder


def weights(folder: Path, dtype: DType = dtypes.float32) -> dict[str, Tensor]:
    """Weights for the folder's configuration."""
    draw = random.Random(0)
    shapes = Config.read(folder).shapes()
    sizes = {name: Tensor.zeros(*shape).numel() for name, shape in shapes.items()}
    return {name: Tensor([draw.gauss(0, 0.5) for _ in range(sizes[name])], dtype=dtype).reshape(shape) for name, shape in shapes.items()}


def write_tokenizer(path: Path, words: tuple[str, ...] = WORDS) -> None:
    """A tokeniser as BERT's, which pads and cuts by itself as that of the package does: MiniLM sees to both."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    made = Tokenizer(models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    made.enable_padding(length=12, pad_id=0, pad_token="[PAD]")
    made.enable_truncation(12)
    made.save(str(path))
