"""Cases of the surface: normalisation, losses, embeddings."""

from __future__ import annotations

from typing import Any, Final

from surface import Case, Given, given

from anneal import Tensor, dtypes
from anneal.ir.dtype import DType

FULL: Final = (dtypes.float32,)
HALF: Final = (dtypes.float32, dtypes.float16)


def functional() -> Any:
    import torch.nn.functional

    return torch.nn.functional


def loss(
    method: str, *inputs: Given, label: str = "", kernels: int = 2, theirs: str = "", kinds: tuple[DType, ...] = (dtypes.float32,), **options: Any
) -> Case:
    """A loss of the first input against the others, whole numbers as PyTorch wants them."""

    def other(x: Any, y: Any, *more: Any) -> Any:
        return getattr(functional(), theirs or method)(x, y if y.dtype.is_floating_point else y.long(), *more, **options)

    return Case(method, lambda *x: getattr(x[0], method)(*x[1:], **options), inputs, theirs=other, label=label, dtypes=kinds, kernels=kernels, rtol=1e-4)


def same(method: str, *inputs: Given, label: str = "", kernels: int = 1, **options: Any) -> Case:
    """A function with PyTorch's name, rows of a batch normalised."""
    return Case(
        method,
        lambda *x: getattr(Tensor, method)(*x, **options),
        inputs,
        theirs=lambda *x: getattr(functional(), method)(*x, **options),
        label=label,
        kernels=kernels,
        rtol=1e-4,
        atol=1e-5,
    )


def weighted(method: str, *sizes: Any, label: str = "", shape: tuple[int, ...] = (), halves: bool = False, **options: Any) -> Case:
    """A normalisation with weight and bias. PyTorch's gradients in halves are rounded on the way."""
    return Case(
        method,
        lambda x, w, b: getattr(x, method)(*sizes, weight=w, bias=b, **options),
        (given(*shape), given(*(sizes[0] if method == "layer_norm" else (shape[1],))), given(*(sizes[0] if method == "layer_norm" else (shape[1],)))),
        theirs=lambda x, w, b: getattr(functional(), method)(x, *sizes, weight=w, bias=b, **options),
        label=label,
        kernels=None if halves else 3,
        dtypes=(dtypes.float16,) if halves else FULL,
        gradient=not halves,
        rtol=1e-4,
        atol=1e-5,
    )


def fixed(*shape: int, low: float = 0.1) -> Given:
    """Numbers through which PyTorch asks for no gradient."""
    return given(*shape, low=low, dtype=dtypes.float32)


def numbers(*values: Any) -> Given:
    return given(0, values=list(values), dtype=dtypes.int32)


LOGITS, LABELS, PLANES = given(4, 5), numbers(1, 0, 4, 2), given(2, 3, 2, 2)
IGNORING: Final = numbers(1, -100, 4, -100)
SEGMENTS: Final = numbers([[0, 1], [2, 1]], [[2, -100], [0, 1]])
CHANCES: Final = given(0, values=[[0.1, 0.2, 0.3, 0.2, 0.2], [1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [0.2] * 5])
UNIT, SIGNS = given(3, 4, low=0.05, high=0.95), given(3, 4)

CASES: Final[tuple[Case, ...]] = (
    Case("layernorm", lambda x: x.layernorm(-1), (given(4, 9),), lambda x: functional().layer_norm(x, (9,)), kernels=3, dtypes=HALF, rtol=1e-4, atol=1e-5),
    weighted("layer_norm", (3, 4), shape=(2, 3, 4)),
    weighted("layer_norm", (3, 4), label="in halves", shape=(2, 3, 4), halves=True),
    weighted("layer_norm", (4,), label="eps", shape=(2, 3, 4), eps=0.1),
    weighted("group_norm", 2, shape=(2, 4, 3, 2)),
    weighted("group_norm", 2, label="in halves", shape=(2, 4, 3, 2), halves=True),
    weighted("group_norm", 4, label="of channels", shape=(3, 4, 5), eps=0.1),
    weighted("instance_norm", shape=(2, 3, 5)),
    weighted("instance_norm", label="in halves", shape=(2, 3, 5), halves=True),
    weighted("instance_norm", label="of planes", shape=(2, 2, 3, 4)),
    Case(
        "rms_norm",
        lambda x, w: x.rms_norm(4, w),
        (given(3, 4), given(4)),
        lambda x, w: functional().rms_norm(x, (4,), w),
        kernels=3,
        rtol=1e-4,
        atol=1e-5,
    ),
    Case(
        "rms_norm",
        lambda x: x.rms_norm((2, 4), eps=0.1),
        (given(3, 2, 4),),
        lambda x: functional().rms_norm(x, (2, 4), eps=0.1),
        label="eps",
        kernels=3,
        rtol=1e-4,
        atol=1e-5,
    ),
    Case(
        "batch_norm",
        lambda x, w, b: x.batch_norm(None, None, w, b, training=True),
        (given(4, 3, 2), given(3), given(3)),
        lambda x, w, b: functional().batch_norm(x, None, None, w, b, training=True),
        label="of the batch",
        kernels=3,
        rtol=1e-4,
        atol=1e-5,
    ),
    same("batch_norm", given(4, 3, 2), fixed(3, low=-1), fixed(3), given(3), given(3), label="of running statistics", eps=0.01),
    same("batch_norm", given(4, 3), fixed(3, low=-1), fixed(3), label="of rows"),
    loss("cross_entropy", LOGITS, LABELS, kinds=HALF),
    loss("cross_entropy", LOGITS, IGNORING, label="ignoring -100"),
    loss("cross_entropy", LOGITS, LABELS, label="ignoring 0", ignore_index=0),
    loss("cross_entropy", LOGITS, IGNORING, fixed(5), label="weight", kernels=3),
    loss("cross_entropy", LOGITS, IGNORING, fixed(5), label="weight, smoothing, sum", label_smoothing=0.2, reduction="sum", kernels=3),
    loss("cross_entropy", LOGITS, IGNORING, fixed(5), label="weight, smoothing", label_smoothing=0.2, kernels=3),
    loss("cross_entropy", LOGITS, IGNORING, label="none", reduction="none", label_smoothing=0.1),
    loss("cross_entropy", PLANES, SEGMENTS, fixed(3), label="of planes", kernels=3),
    loss("cross_entropy", given(5), given(low=1, high=4, dtype=dtypes.int32), label="of one"),
    loss("cross_entropy", LOGITS, CHANCES, fixed(5), label="probabilities", label_smoothing=0.1),
    loss("cross_entropy", PLANES, given(2, 3, 2, 2, low=0), label="probabilities of planes"),
    loss("cross_entropy", LOGITS, CHANCES, label="probabilities, none", reduction="none"),
    loss("sparse_categorical_crossentropy", LOGITS, LABELS, theirs="cross_entropy"),
    loss("nll_loss", given(4, 5, high=-0.1), LABELS),
    loss("nll_loss", given(4, 5, high=-0.1), LABELS, label="ignoring 2", ignore_index=2),
    loss("nll_loss", PLANES, SEGMENTS, fixed(3), label="of planes, weight"),
    loss("nll_loss", PLANES, SEGMENTS, label="none", reduction="none"),
    loss("mse_loss", SIGNS, given(3, 4), kernels=1, kinds=HALF),
    loss("mse_loss", SIGNS, given(3, 4), label="none", reduction="none", kernels=1),
    loss("l1_loss", SIGNS, given(3, 4), kernels=1, kinds=HALF),
    loss("l1_loss", SIGNS, given(3, 4), label="sum", reduction="sum", kernels=1),
    loss("smooth_l1_loss", SIGNS, given(3, 4), kernels=1),
    loss("smooth_l1_loss", SIGNS, given(3, 4), label="beta", beta=0.3, reduction="none", kernels=1),
    loss("smooth_l1_loss", SIGNS, given(3, 4), label="beta 0", beta=0.0, reduction="sum", kernels=1),
    loss("huber_loss", SIGNS, given(3, 4), kernels=1, kinds=HALF),
    loss("huber_loss", SIGNS, given(3, 4), label="delta", delta=0.4, reduction="none", kernels=1),
    loss("kl_div", given(3, 4, high=-0.1), given(3, 4, low=0.1), label="batchmean", reduction="batchmean", kernels=1),
    loss("kl_div", given(3, 4, high=-0.1), given(3, 4, high=-0.1), label="log_target", log_target=True, reduction="sum", kernels=1),
    loss("kl_div", given(3, 4), given(0, values=[0.0, 0.5, 1.0, 0.2], dtype=dtypes.float32), label="none", reduction="none", kernels=1),
    loss("cosine_similarity", SIGNS, given(3, 4), kernels=2),
    Case(
        "cosine_similarity",
        lambda x, y: x.cosine_similarity(y, -2, 0.5),
        (given(2, 3, 4), given(3, 1)),
        lambda x, y: functional().cosine_similarity(x, y, -2, 0.5),
        label="axis, eps",
        kernels=2,
    ),
    loss("binary_cross_entropy", UNIT, given(3, 4, low=0, high=1), kernels=1),
    loss("binary_cross_entropy", UNIT, given(3, 4, low=0, high=1), fixed(4), label="weight", reduction="sum", kernels=1),
    loss("binary_crossentropy", UNIT, given(3, 4, low=0, high=1), kernels=1, theirs="binary_cross_entropy", reduction="none"),
    loss("binary_cross_entropy_with_logits", SIGNS, given(3, 4, low=0, high=1), kernels=1, kinds=HALF),
    loss("binary_cross_entropy_with_logits", SIGNS, given(3, 4, low=0, high=1), fixed(3, 1), label="weight", reduction="none", kernels=1),
    Case(
        "binary_cross_entropy_with_logits",
        lambda x, y, p: x.binary_cross_entropy_with_logits(y, pos_weight=p),
        (SIGNS, given(3, 4, low=0, high=1), fixed(4)),
        lambda x, y, p: functional().binary_cross_entropy_with_logits(x, y, pos_weight=p),
        label="pos_weight",
        kernels=1,
    ),
    loss("binary_crossentropy_logits", SIGNS, given(3, 4, low=0, high=1), kernels=1, theirs="binary_cross_entropy_with_logits"),
    Case(
        "embedding",
        lambda w, i: i.embedding(w),
        (given(5, 3), numbers([1, 4], [0, 1])),
        lambda w, i: functional().embedding(i, w),
        dtypes=HALF,
        kernels=3,
    ),
    Case(
        "embedding",
        lambda w, i: i.embedding(w, padding_idx=-1),
        (given(5, 3), numbers([1, 4], [0, 1])),
        lambda w, i: functional().embedding(i, w, padding_idx=-1),
        label="padding_idx",
        kernels=3,
    ),
)
