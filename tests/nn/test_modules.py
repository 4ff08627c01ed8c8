"""Watching modules: every node is placed in the module that built it, and what is watched stays as it was."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from anneal import Tensor, dtypes, nn
from anneal.ir.uop import UOp
from anneal.nn.modules import Modules, watching


class Net:
    def __init__(self) -> None:
        self.parts = {"a": nn.Linear(2, 3), "b": [nn.Linear(3, 3), nn.Linear(3, 2)]}

    def forward(self, x: Tensor) -> Tensor:
        h: Any = self.parts["a"]
        x = h(x).relu()
        for layer in self.parts["b"]:  # type: ignore[attr-defined]
            x = layer(x)
        return x


def places(seen: Modules) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node, path in seen.places.items():
        found.setdefault(path, set()).add(node.op.name)
    return found


def test_parts_go_by_their_paths_and_the_root_by_its_variable() -> None:
    net = Net()
    with watching() as seen:
        out = net.forward(Tensor.ones(4, 2))
    assert list(seen.kinds) == ["net", "net.parts.a", "net.parts.b.0", "net.parts.b.1"]
    assert seen.kinds["net.parts.a"] == "Linear"
    assert "where" in places(seen)["net"]
    assert "reduce_axis" in places(seen)["net.parts.b.1"]
    assert seen.results[-2:] == [(out, "net.parts.b.1"), (out, "net")]
    assert set(seen.tensors()) == set(nn.state.get_state_dict(net, "net"))


def test_a_root_without_a_variable_goes_by_its_class_and_its_parts_by_the_state_dict() -> None:
    with watching() as seen:
        Net().forward(Tensor.ones(4, 2))
    assert list(seen.kinds) == ["Net", "parts.a", "parts.b.0", "parts.b.1"]


def test_nodes_outside_of_modules_have_no_place() -> None:
    net, x = nn.Linear(2, 2), Tensor.ones(3, 2)
    with watching() as seen:
        before = x * 5
        after = net(before) * 7
    assert before.uop not in seen.places
    assert after.uop not in seen.places
    assert seen.places[after.uop.src[0]] == "net"


def test_what_a_module_keeps_beside_its_parts_is_no_module() -> None:
    class Settings:
        def factor(self) -> float:
            return 2.0

    class Scaled:
        def __init__(self) -> None:
            self.layer, self.dtype, self.settings = nn.Linear(2, 2), dtypes.float16, Settings()

        def __call__(self, x: Tensor) -> Tensor:
            return self.layer(x).cast(self.dtype) * self.settings.factor()

    net = Scaled()
    with watching() as seen:
        net(Tensor.ones(4, 2))
    assert seen.kinds == {"net": "Scaled", "net.layer": "Linear"}


def test_what_optimisers_build_is_the_optimisers() -> None:
    layer = nn.Linear(2, 2)
    optimizer = nn.optim.SGD([layer.weight], 0.1)
    with watching() as seen:
        layer(Tensor.ones(3, 2)).sum().backward()
        updates = optimizer.schedule_step()
    assert seen.kinds["optimizer"] == "SGD"
    assert seen.places[updates[0].uop] == "optimizer"
    assert all(path != "optimizer" for _, path in seen.results)


def test_an_error_inside_a_module_leaves_nothing_behind() -> None:
    before = sys.getprofile()
    layer, x = nn.Linear(2, 2), Tensor.ones(3, 5)
    with watching() as seen:
        with pytest.raises(ValueError, match="columns"):
            layer(x)
        outside = x * 3
    assert sys.getprofile() is before
    assert outside.uop not in seen.places
    with pytest.raises(ZeroDivisionError), watching():
        1 / 0  # noqa: B018
    assert sys.getprofile() is before


def test_watching_changes_no_node() -> None:
    net, x = Net(), Tensor.ones(4, 2)
    plain = net.forward(x)
    with watching():
        watched = net.forward(x)
    assert watched.uop is plain.uop


def test_a_shared_layer_has_one_path_and_values_of_any_kind_do_no_harm() -> None:
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, lambda x: x + 1, layer)
    with watching() as seen:
        net(Tensor.ones(3, 2))
        sorted([3, 1], key=lambda self: -self)
    nodes: list[UOp] = [u for u, path in seen.places.items() if path == "net.0"]
    assert len([u for u in nodes if u.op.name == "reduce_axis"]) == 2
