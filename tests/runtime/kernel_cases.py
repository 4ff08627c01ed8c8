"""Kernels written by hand, as WGSL and as instructions, with what they must compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anneal.codegen.target import Target
from anneal.ir import build
from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.text import print_program
from anneal.ir.uop import ARENA, UOp
from anneal.runtime.plan import Binding, Kernel, Plan, PlanBuffer

F32, F16, I32, BOOL, INDEX = dtypes.float32, dtypes.float16, dtypes.int32, dtypes.bool, dtypes.index
HELD = {F32: np.float32, F16: np.float16, I32: np.int32, dtypes.uint32: np.uint32, BOOL: np.uint32, dtypes.bfloat16: np.float32}
Array = NDArray[Any]


class Writer:
    """Appends instructions."""

    def __init__(self) -> None:
        self.lines: list[UOp] = []

    def put(self, op: Op, dtype: DType, *src: UOp, arg: object = None) -> UOp:
        node = ARENA.intern(op, dtype, src, arg)
        self.lines.append(node)
        return node

    def alu(self, op: Op, *src: UOp) -> UOp:
        node = build.alu(op, *src)
        self.lines.append(node)
        return node

    def special(self, name: str, dtype: DType = INDEX) -> UOp:
        return self.put(Ops.SPECIAL, dtype, arg=name)

    def at(self, base: UOp, stride: int, offset: UOp) -> UOp:
        """Base * stride + offset."""
        return self.alu(Ops.ADD, self.alu(Ops.MUL, base, build.index(stride)), offset)

    def load(self, memory: UOp, index: UOp, *gate: UOp) -> UOp:
        return self.put(Ops.LOAD, memory.dtype, memory, index, *gate)

    def store(self, memory: UOp, index: UOp, value: UOp, *gate: UOp) -> None:
        self.put(Ops.STORE, memory.dtype, memory, index, value, *gate)

    def when(self, condition: UOp) -> UOp:
        return self.put(Ops.IF, BOOL, condition)

    def end(self, opening: UOp) -> None:
        self.put(Ops.ENDIF if opening.op is Ops.IF else Ops.ENDLOOP, opening.dtype, opening)

    def loop(self, name: str, start: UOp, limit: UOp, step: int = 1) -> UOp:
        return self.put(Ops.LOOP, INDEX, start, limit, build.index(step), arg=name)

    @property
    def text(self) -> str:
        return print_program(self.lines)


def number(value: Scalar, dtype: DType = F32) -> UOp:
    """A constant."""
    return build.const(value, dtype)


def kernel(
    name: str, wgsl: str, text: str, bindings: Sequence[tuple[int, bool]], groups: tuple[int | str, ...], size: tuple[int, int, int] = (64, 1, 1)
) -> Kernel:
    """A kernel whose statistics do not matter."""
    x, y, z = (*groups, 1, 1)[:3]
    bound = tuple(Binding(buffer, writes) for buffer, writes in bindings)
    return Kernel(name, wgsl, text, bound, (x, y, z), size, ("forward",), (), 0, 0)


def buffer(role: Any, dtype: DType, *shape: int) -> PlanBuffer:
    """A buffer of a plan."""
    count = int(np.prod(shape))
    return PlanBuffer(role, dtype.name, shape, max(4, -(-count * dtype.storage // 4) * 4))


def make_plan(buffers: Sequence[PlanBuffer], kernels: Sequence[Kernel], *, float16: bool = False) -> Plan:
    """A plan whose outputs are the output buffers."""
    outputs = tuple(i for i, b in enumerate(buffers) if b.role == "output")
    return Plan(Target(float16=float16), tuple(buffers), tuple(kernels), outputs)


HEAD = "@compute @workgroup_size({0}, {1}, {2})\nfn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {{\n"


def module(body: str, kinds: Sequence[tuple[str, bool]], size: tuple[int, int, int] = (64, 1, 1), top: str = "") -> str:
    """A WGSL module with bindings data0, data1 and so on."""
    access = {False: "read", True: "read_write"}
    lines = [f"@group(0) @binding({i}) var<storage, {access[writes]}> data{i}: array<{kind}>;" for i, (kind, writes) in enumerate(kinds)]
    return top + "\n".join(lines) + "\n" + HEAD.format(*size) + body + "\n}\n"


@dataclass(frozen=True)
class Case:
    """A plan, its inputs, and what its outputs must be."""

    plan: Plan
    inputs: tuple[Array, ...]
    expected: tuple[Array, ...]
    """What the output buffers must hold, or the inputs where the plan has no output."""


def _numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def add_kernel(name: str, n: int, bindings: Sequence[tuple[int, bool]], value: float = 1.0, dtype: DType = F32) -> Kernel:
    """data1[i] = data0[i] + value for i < n."""
    w = Writer()
    g = w.at(w.special("wid.x"), 64, w.special("lid.x"))
    edge = w.when(w.alu(Ops.LT, g, build.index(n)))
    x = w.load(build.param(0, (n,), dtype), g)
    w.store(build.param(1, (n,), dtype), g, w.alu(Ops.ADD, x, number(value, dtype)))
    w.end(edge)
    kind = {F32: "f32", F16: "f16", I32: "i32"}[dtype]
    suffix = {F32: "f", F16: "h", I32: ""}[dtype]
    body = f"let g = wid.x*64u + lid.x;\nif (g < {n}u) {{ data1[g] = data0[g] + {value}{suffix}; }}"
    top = "enable f16;\n" if dtype is F16 else ""
    return kernel(name, module(body, [(kind, False), (kind, True)], top=top), w.text, bindings, (-(-n // 64),))


def copy() -> Case:
    n = 256
    w = Writer()
    g = w.at(w.special("wid.x"), 64, w.special("lid.x"))
    w.store(build.param(1, (n,), F32), g, w.load(build.param(0, (n,), F32), g))
    wgsl = module("let g = wid.x*64u + lid.x;\ndata1[g] = data0[g];", [("f32", False), ("f32", True)])
    x = _numbers(n)
    return Case(make_plan([buffer("input", F32, n), buffer("output", F32, n)], [kernel("copy", wgsl, w.text, [(0, False), (1, True)], (4,))]), (x,), (x,))


def edge_mask() -> Case:
    n = 1013
    x = _numbers(n)
    plan = make_plan([buffer("input", F32, n), buffer("output", F32, n)], [add_kernel("add", n, [(0, False), (1, True)])])
    return Case(plan, (x,), (x + np.float32(1),))


def several_chunks() -> Case:
    """More invocations than the reference runs at once, in a number that is prime."""
    n = 200_003
    x = np.arange(n, dtype=np.int32)
    plan = make_plan([buffer("input", I32, n), buffer("output", I32, n)], [add_kernel("add", n, [(0, False), (1, True)], 7, I32)])
    return Case(plan, (x,), (x + 7,))


def row_sums() -> Case:
    rows, columns = 70, 33
    w = Writer()
    r = w.at(w.special("wid.x"), 64, w.special("lid.x"))
    edge = w.when(w.alu(Ops.LT, r, build.index(rows)))
    total = w.put(Ops.REGISTER, F32, number(0.0), arg="acc0")
    k = w.loop("k", build.index(0), build.index(columns))
    x = w.load(build.param(0, (rows, columns), F32), w.at(r, columns, k))
    w.put(Ops.SET, F32, total, w.alu(Ops.ADD, total, x))
    w.end(k)
    w.store(build.param(1, (rows,), F32), r, total)
    w.end(edge)
    body = f"""let r = wid.x*64u + lid.x;
if (r < {rows}u) {{ var acc = 0f; for (var k = 0u; k < {columns}u; k++) {{ acc = acc + data0[r*{columns}u + k]; }} data1[r] = acc; }}"""
    x0 = _numbers(rows, columns)
    expected = np.zeros(rows, np.float32)
    for column in range(columns):
        expected = expected + x0[:, column]
    plan = make_plan(
        [buffer("input", F32, rows, columns), buffer("output", F32, rows)],
        [kernel("row_sums", module(body, [("f32", False), ("f32", True)]), w.text, [(0, False), (1, True)], (2,))],
    )
    return Case(plan, (x0,), (expected,))


def tree_sum() -> Case:
    groups, lanes = 9, 64
    w = Writer()
    wid, lid = w.special("wid.x"), w.special("lid.x")
    shared = ARENA.intern(Ops.LOCAL, F32, (), ("shared", lanes))
    w.lines.append(shared)
    x = w.load(build.param(0, (groups * lanes,), F32), w.at(wid, lanes, lid))
    w.store(shared, lid, x)
    half = lanes
    while half > 1:
        half //= 2
        w.put(Ops.BARRIER, BOOL)
        low = w.when(w.alu(Ops.LT, lid, build.index(half)))
        a, b = w.load(shared, lid), w.load(shared, w.alu(Ops.ADD, lid, build.index(half)))
        w.store(shared, lid, w.alu(Ops.ADD, a, b))
        w.end(low)
    first = w.when(w.alu(Ops.EQ, lid, build.index(0)))
    w.store(build.param(1, (groups,), F32), wid, w.load(shared, build.index(0)))
    w.end(first)
    body = """shared_[lid.x] = data0[wid.x*64u + lid.x];
for (var half = 32u; half > 0u; half = half / 2u) {
  workgroupBarrier();
  if (lid.x < half) { shared_[lid.x] = shared_[lid.x] + shared_[lid.x + half]; }
}
if (lid.x == 0u) { data1[wid.x] = shared_[0]; }"""
    memory = "var<workgroup> shared_: array<f32, 64>;\n"
    x0 = np.arange(groups * lanes, dtype=np.float32)
    plan = make_plan(
        [buffer("input", F32, groups * lanes), buffer("output", F32, groups)],
        [kernel("tree_sum", module(body, [("f32", False), ("f32", True)], top=memory), w.text, [(0, False), (1, True)], (groups,))],
    )
    return Case(plan, (x0,), (x0.reshape(groups, lanes).sum(1),))


def with_temporaries() -> Case:
    n = 100
    x = _numbers(n)
    kernels = [add_kernel("a", n, [(0, False), (2, True)]), add_kernel("b", n, [(2, False), (3, True)], 2.0), add_kernel("c", n, [(3, False), (1, True)], 4.0)]
    plan = make_plan([buffer("input", F32, n), buffer("output", F32, n), buffer("temporary", F32, n), buffer("temporary", F32, n)], kernels)
    return Case(plan, (x,), (x + np.float32(1) + np.float32(2) + np.float32(4),))


def in_place() -> Case:
    """data0 = data0 * 0.5 - data1, into an input."""
    n = 300
    w = Writer()
    g = w.at(w.special("wid.x"), 64, w.special("lid.x"))
    edge = w.when(w.alu(Ops.LT, g, build.index(n)))
    target = build.param(0, (n,), F32)
    half = w.alu(Ops.MUL, w.load(target, g), number(0.5))
    w.store(target, g, w.alu(Ops.ADD, half, w.alu(Ops.MUL, w.load(build.param(1, (n,), F32), g), number(-1.0))))
    w.end(edge)
    body = f"let g = wid.x*64u + lid.x;\nif (g < {n}u) {{ data0[g] = data0[g]*0.5 - data1[g]; }}"
    x, y = _numbers(n), _numbers(n, seed=1)
    step = kernel("update", module(body, [("f32", True), ("f32", False)]), w.text, [(0, True), (1, False)], (5,))
    return Case(make_plan([buffer("input", F32, n), buffer("input", F32, n)], [step]), (x, y), (x * np.float32(0.5) - y, y))


def half_precision() -> Case:
    n = 77
    x = _numbers(n).astype(np.float16)
    plan = make_plan([buffer("input", F16, n), buffer("output", F16, n)], [add_kernel("add", n, [(0, False), (1, True)], 0.25, F16)], float16=True)
    return Case(plan, (x,), (x + np.float16(0.25),))


def divergent_loop() -> Case:
    """Each invocation adds as many elements as its number says, where that is odd; others keep -1."""
    n = 50
    w = Writer()
    g = w.special("lid.x")
    total = w.put(Ops.REGISTER, I32, number(-1, I32), arg="acc0")
    odd = w.when(w.alu(Ops.EQ, w.alu(Ops.MOD, g, build.index(2)), build.index(1)))
    w.put(Ops.SET, I32, total, number(0, I32))
    k = w.loop("k", build.index(0), g)
    w.put(Ops.SET, I32, total, w.alu(Ops.ADD, total, w.load(build.param(0, (n,), I32), k)))
    w.end(k)
    w.end(odd)
    w.store(build.param(1, (n,), I32), g, total, w.alu(Ops.LT, g, build.index(n)))
    body = f"""var acc = -1;
if (lid.x % 2u == 1u) {{ acc = 0; for (var k = 0u; k < lid.x; k++) {{ acc = acc + data0[k]; }} }}
if (lid.x < {n}u) {{ data1[lid.x] = acc; }}"""
    x = np.arange(10, 10 + n, dtype=np.int32)
    expected = np.array([x[:i].sum() if i % 2 else -1 for i in range(n)], np.int32)
    plan = make_plan(
        [buffer("input", I32, n), buffer("output", I32, n)],
        [kernel("divergent", module(body, [("i32", False), ("i32", True)], (50, 1, 1)), w.text, [(0, False), (1, True)], (1,), (50, 1, 1))],
    )
    return Case(plan, (x,), (expected,))


def vectors() -> Case:
    """Four elements at a time, reversed."""
    n = 256
    w = Writer()
    g = w.alu(Ops.MUL, w.special("lid.x"), build.index(4))
    quad = w.put(Ops.VLOAD, F32, build.param(0, (n,), F32), g, arg=4)
    lanes = [w.put(Ops.LANE, F32, quad, arg=i) for i in range(4)]
    w.put(Ops.VSTORE, F32, build.param(1, (n,), F32), g, *reversed(lanes))
    wgsl = module("data1[lid.x] = data0[lid.x].wzyx;", [("vec4<f32>", False), ("vec4<f32>", True)])
    x = _numbers(n)
    plan = make_plan([buffer("input", F32, n), buffer("output", F32, n)], [kernel("vectors", wgsl, w.text, [(0, False), (1, True)], (1,))])
    return Case(plan, (x,), (x.reshape(-1, 4)[:, ::-1].reshape(-1).copy(),))


def grid() -> Case:
    """All six coordinates, and bool elements."""
    size, groups = (4, 2, 3), (3, 5, 2)
    w = Writer()
    names = ("wid.z", "wid.y", "wid.x", "lid.z", "lid.y", "lid.x")
    extents = (*reversed(groups), *reversed(size))
    place = build.index(0)
    for name, extent in zip(names, extents, strict=True):
        place = w.at(place, extent, w.special(name))
    n = int(np.prod(extents))
    flag = w.load(build.param(0, (n,), BOOL), place)
    w.store(build.param(1, (n,), BOOL), place, w.alu(Ops.XOR, flag, number(True, BOOL)))
    body = "let i = ((((wid.z*5u + wid.y)*3u + wid.x)*3u + lid.z)*2u + lid.y)*4u + lid.x;\ndata1[i] = u32(data0[i] == 0u);"
    x = (np.arange(n) % 3 == 0).astype(np.uint32)
    plan = make_plan(
        [buffer("input", BOOL, n), buffer("output", BOOL, n)],
        [kernel("grid", module(body, [("u32", False), ("u32", True)], size), w.text, [(0, False), (1, True)], groups, size)],
    )
    return Case(plan, (x,), (1 - x,))


def gated_load() -> Case:
    """Shifted by three, with 0 from outside."""
    n = 64
    w = Writer()
    g = w.special("lid.x")
    before = w.alu(Ops.ADD, g, build.index(-3))
    inside = w.alu(Ops.LT, build.index(-1), before)
    w.store(build.param(1, (n,), F32), g, w.load(build.param(0, (n,), F32), before, inside))
    body = "var x = 0f; if (lid.x >= 3u) { x = data0[lid.x - 3u]; } data1[lid.x] = x;"
    x = _numbers(n)
    plan = make_plan(
        [buffer("input", F32, n), buffer("output", F32, n)],
        [kernel("gated", module(body, [("f32", False), ("f32", True)]), w.text, [(0, False), (1, True)], (1,))],
    )
    return Case(plan, (x,), (np.concatenate([np.zeros(3, np.float32), x[:-3]]),))


CASES: tuple[Callable[[], Case], ...] = (
    copy,
    edge_mask,
    several_chunks,
    row_sums,
    tree_sum,
    with_temporaries,
    in_place,
    half_precision,
    divergent_loop,
    vectors,
    grid,
    gated_load,
)
