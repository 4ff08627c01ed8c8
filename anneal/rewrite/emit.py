r"""Code for rules: the nested ifs of a match function, and the expression that builds a result.

A pattern becomes steps, each a test or the unpacking of operands; a function is the tree of its rules' steps, where rules with the same
first steps share them. Names say where a node stands: `u` is the matched node, `u0` its first operand, `u01` the second of that.

>>> from anneal.rewrite.upat import parse
>>> rule = parse('group a "A"\nadd_zero: x + 0 => x', "a.upat", frozenset()).rules[0]
>>> print(match_body([(7, rule)], Ops.ADD, {}, {}))
    u0, u1 = u.src
    if u1.op is _CONST:
        if u1.arg == 0:
            if (r := u0) is not u:
                return 7, r
    if u0.op is _CONST:
        if u0.arg == 0:
            if (r := u1) is not u:
                return 7, r
    return None
<BLANKLINE>
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from typing import Final

from anneal.errors import RuleError
from anneal.ir.ops import Op, Ops
from anneal.rewrite.terms import DTYPES, GUARDS, KINDS, Branch, Handler, Leaf, Term
from anneal.rewrite.upat import Gradient, Statement

# A step of a match: a condition, or an assignment when it ends in `.src`.
_Tree = dict[str, "_Tree | None"]
_KIND_TESTS: Final = {kind: GUARDS[f"is_{kind}"].replace("{0}", "{}") for kind in KINDS}


class _Uses:
    """What the generated module must define or import."""

    def __init__(self, ops: dict[Op, None], handlers: dict[str, None]) -> None:
        self.ops = ops
        self.handlers = handlers

    def op(self, op: Op) -> str:
        """The module's name for an op."""
        self.ops[op] = None
        return f"_{op.name.upper()}"

    def handler(self, name: str) -> str:
        """The module's name for a handler."""
        self.handlers[name] = None
        return name


def match_body(rules: list[tuple[int, Statement]], op: Op, ops: dict[Op, None], handlers: dict[str, None]) -> str:
    """The body of the match function of `op` for numbered rules; notes the ops and handlers that it uses."""
    uses = _Uses(ops, handlers)
    tree: _Tree = {}
    for number, rule in rules:
        seen: set[tuple[str, ...]] = set()
        for variant in _variants(rule.pattern, op):
            steps = (*_Steps(uses, op).of(variant, rule, number),)
            if steps in seen:
                continue
            seen.add(steps)
            branch = tree
            for step in steps[:-1]:
                branch = branch.setdefault(step, {})  # type: ignore[assignment]
            branch[steps[-1]] = None
    return "".join(_print(tree)) + "    return None\n"


def _print(tree: _Tree) -> Iterator[str]:
    """The lines of a tree of steps."""
    stack: list[tuple[str, _Tree | None, int]] = [(s, t, 1) for s, t in reversed(tree.items())]
    while stack:
        step, below, depth = stack.pop()
        pad = "    " * depth
        if below is None:
            yield f"{pad}{step}\n"
            continue
        unpacks = step.endswith((".src", ".src[0]"))
        yield f"{pad}{step}\n" if unpacks else f"{pad}if {step}:\n"
        stack.extend((s, t, depth + (not unpacks)) for s, t in reversed(below.items()))


def _variants(pattern: Branch, op: Op) -> Iterator[Branch]:
    """The pattern with the operands of commutative ops in every order, as written first."""
    args = [tuple(_variants(a, a.ops[0])) if isinstance(a, Branch) else (a,) for a in pattern.args]
    for chosen in itertools.product(*args):
        yield _with_args(pattern, chosen)
    if op.commutative and len(pattern.args) == 2:
        for chosen in itertools.product(*args):
            yield _with_args(pattern, chosen[::-1])


def _with_args(pattern: Branch, args: tuple[Term, ...]) -> Branch:
    return Branch(pattern.ops, args, pattern.dtype, pattern.name, pattern.rest, pattern.label)


class _Steps:
    """The steps of one variant of a rule, and where each name is found."""

    def __init__(self, uses: _Uses, op: Op) -> None:
        self.uses = uses
        self.op = op
        self.places: dict[str, str] = {"root": "u"}
        self.consts: set[str] = set()

    def of(self, pattern: Branch, rule: Statement, number: int) -> Iterator[str]:
        """Tests of shape first, outer before inner, constants before others; then the guard; then the result."""
        yield from self._pattern(pattern)
        if rule.guard is not None:
            yield from _guard(rule.guard, self)
        want = "dtypes.bool" if self.op.compares else "u.dtype"
        builder = Builder(self.uses, self.places, self.consts, rule)
        result = builder.code(rule.result, want)
        if isinstance(rule.result, Handler):
            yield f"(r := {result}) is not None and r is not u"
        else:
            yield f"(r := {result}) is not u"
        yield f"return {number}, r"

    def _pattern(self, pattern: Branch) -> Iterator[str]:
        level: list[tuple[str, Branch]] = [("u", pattern)]
        while level:
            tests: list[tuple[int, str]] = []
            below: list[tuple[str, Branch]] = []
            for place, branch in level:
                if branch.args:
                    yield self._unpack(place, branch)
                self._name(branch.name, place, tests)
                if branch is pattern:
                    tests += [(1, t) for t in _dtype_test(branch.dtype, place)]
                for number, arg in enumerate(branch.args):
                    self._operand(arg, f"{place}{number}", tests, below)
            yield from (t for _, t in sorted(tests, key=lambda row: row[0]))
            level = below

    def _unpack(self, place: str, branch: Branch) -> str:
        if branch.rest:
            if len(branch.args) > 1:
                raise RuleError(f"{branch.label}(…, ...) can name the first operand only")
            return f"{place}0 = {place}.src[0]"
        names = ", ".join(f"{place}{i}" for i in range(len(branch.args)))
        return f"{names}{',' if len(branch.args) == 1 else ''} = {place}.src"

    def _operand(self, arg: Term, place: str, tests: list[tuple[int, str]], below: list[tuple[str, Branch]]) -> None:
        assert not isinstance(arg, Handler)
        if isinstance(arg, Branch):
            tests.append((1, f"{place}.op is {self.uses.op(arg.ops[0])}"))
            below.append((place, arg))
        elif arg.is_const:
            tests.append((0, f"{place}.op is {self.uses.op(Ops.CONST)}"))
            if isinstance(arg.value, bool):
                tests.append((0, f"{place}.arg is {arg.value}"))
            elif arg.value is not None:
                tests.append((0, f"{place}.arg == {arg.value!r}"))
            if arg.name is not None:
                self.consts.add(arg.name)
        if isinstance(arg, Leaf):
            self._name(arg.name, place, tests)
        tests += [(2, t) for t in _dtype_test(arg.dtype, place)]

    def _name(self, name: str | None, place: str, tests: list[tuple[int, str]]) -> None:
        if name is None:
            return
        if name in self.places:
            tests.append((3, f"{place} is {self.places[name]}"))
        else:
            self.places[name] = place


def _dtype_test(dtype: str | None, place: str) -> list[str]:
    if dtype is None:
        return []
    return [_KIND_TESTS[dtype].format(place)] if dtype in KINDS else [f"{place}.dtype is dtypes.{dtype}"]


def _guard(guard: ast.expr, steps: _Steps) -> Iterator[str]:
    """One condition for each part of a guard that `and` joins; a bound that is not known makes its part False."""
    parts = guard.values if isinstance(guard, ast.BoolOp) and isinstance(guard.op, ast.And) else [guard]
    known: dict[str, None] = {}
    for part in parts:
        writer = _GuardWriter(steps)
        text = ast.unparse(writer.visit(ast.parse(ast.unparse(part), mode="eval").body))
        fresh = [b for b in writer.bounds if b not in known]
        known.update(dict.fromkeys(fresh))
        checks = [f"({_bound_name(b)} := {b}) is not None" for b in fresh]
        yield " and ".join([*checks, f"({text})" if checks and isinstance(part, ast.BoolOp) else text])


def _bound_name(call: str) -> str:
    return call.replace("(", "_").rstrip(")")


class _GuardWriter(ast.NodeTransformer):
    """Names of the language into places of the match."""

    def __init__(self, steps: _Steps) -> None:
        self.steps = steps
        self.bounds: list[str] = []

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A constant is its value, any other name its node."""
        place = self.steps.places[node.id]
        return ast.parse(f"{place}.arg" if node.id in self.steps.consts else place, mode="eval").body

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """Nodes are compared by identity; constants by value."""
        if isinstance(node.ops[0], ast.Is | ast.IsNot):
            sides = [self.steps.places[n.id] if isinstance(n, ast.Name) else ast.unparse(n) for n in (node.left, *node.comparators)]
            return ast.parse((" is " if isinstance(node.ops[0], ast.Is) else " is not ").join(sides), mode="eval").body
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Bounds become names that are tested first, dtype tests are spelled out, handlers get nodes."""
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name in ("lo", "hi"):
            assert isinstance(node.args[0], ast.Name)
            call = f"{name}({self.steps.places[node.args[0].id]})"
            self.bounds.append(call)
            return ast.Name(_bound_name(call))
        if name in GUARDS:
            assert isinstance(node.args[0], ast.Name)
            return ast.parse(GUARDS[name].format(self.steps.places[node.args[0].id]), mode="eval").body
        if name in self.steps.uses.handlers or name not in ("abs", "min", "max"):
            self.steps.uses.handler(name)
            node.args = [ast.Name(self.steps.places[a.id]) if isinstance(a, ast.Name) else self.visit(a) for a in node.args]
            return node
        node.args = [self.visit(a) for a in node.args]
        return node


class Builder:
    """Writes the expression that builds a result."""

    def __init__(self, uses: _Uses, places: dict[str, str], consts: set[str], rule: Statement | Gradient) -> None:
        self.uses = uses
        self.places = places
        self.consts = consts
        self.rule = rule

    def code(self, term: Term, want: str | None) -> str:
        """Python that gives the node of `term`; `want` is the dtype where the term does not tell its own."""
        if isinstance(term, Handler):
            return f"{self.uses.handler(term.function)}({', '.join(self.code(a, want) for a in term.args)})"
        if isinstance(term, Leaf) and term.name is not None:
            return self.places[term.name]
        dtype = self._dtype(term) or want
        if dtype is None:
            raise RuleError(f"{self.rule.file}:{self.rule.line}: cannot tell the dtype of a number in {self.rule.name}: write it as value@dtype")
        if isinstance(term, Leaf):
            assert term.value is not None
            return f"const({_literal(term.value)}, {dtype})"
        if self._is_const(term):
            return f"intern({self.uses.op(Ops.CONST)}, {dtype}, (), {self._value(term, dtype)})"
        op = term.ops[0]
        if op is Ops.CAST:
            return f"cast({self.code(term.args[0], None)}, {dtype})"
        values = ", ".join(self.code(a, w) for a, w in zip(term.args, self._operand_dtypes(term, dtype), strict=True))
        return f"intern({self.uses.op(op)}, {dtype}, ({values}{',' if len(term.args) == 1 else ''}))"

    def _operand_dtypes(self, term: Branch, dtype: str) -> list[str | None]:
        """The dtype that each operand has if it does not tell its own."""
        op = term.ops[0]
        if op is Ops.WHERE:
            return ["dtypes.bool", dtype, dtype]
        if op.compares:
            return [next((d for a in term.args if (d := self._dtype(a))), None)] * 2
        return [None if op is Ops.BITCAST else dtype] * len(term.args)

    def _dtype(self, term: Term) -> str | None:
        """Python that gives the term's dtype, when the term tells it."""
        if isinstance(term, Handler):
            return None
        if term.dtype is not None:
            return f"{self.places[term.dtype]}.dtype" if term.dtype in self.places else f"dtypes.{DTYPES.get(term.dtype, term.dtype)}"
        if isinstance(term, Leaf):
            return "dtypes.bool" if isinstance(term.value, bool) else f"{self.places[term.name]}.dtype" if term.name else None
        op = term.ops[0]
        if op.compares:
            return "dtypes.bool"
        if op in (Ops.CAST, Ops.BITCAST):
            return None
        return next((d for a in (term.args[1:] if op is Ops.WHERE else term.args) if (d := self._dtype(a))), None)

    def _is_const(self, term: Term) -> bool:
        """True for terms over constants only, which are computed when the rule fires."""
        if isinstance(term, Branch):
            return term.ops[0] not in (Ops.CAST, Ops.BITCAST, Ops.CONTIGUOUS, Ops.DETACH) and all(map(self._is_const, term.args))
        return isinstance(term, Leaf) and (term.value is not None or term.name in self.consts)

    def _value(self, term: Term, dtype: str | None) -> str:
        """Python that gives the number of a term over constants."""
        assert not isinstance(term, Handler)
        if isinstance(term, Leaf):
            return _literal(term.value) if term.value is not None else f"{self.places[term.name or '']}.arg"
        inner = self._operand_dtypes(term, dtype or "")
        args = ", ".join(self._value(a, w) for a, w in zip(term.args, inner, strict=True))
        return f"alu({self.uses.op(term.ops[0])}, {self._dtype(term) or dtype}, ({args},))"


def _literal(value: object) -> str:
    return 'float("inf")' if value == float("inf") else repr(value)


def gradient_function(rule: Gradient, ops: dict[Op, None], handlers: dict[str, None]) -> str:
    """The function of one gradient rule: node and gradient of its result to the gradients of its operands."""
    uses = _Uses(ops, handlers)
    places = {"y": "y", "g": "g"} | {n: f"y{i}" for i, n in enumerate(rule.operands) if n != "_"}
    builder = Builder(uses, places, set(), rule)
    lines = [f"def _{rule.name}(y: UOp, g: UOp) -> Gradients:"]
    names = "".join(f"y{i}, " for i in range(len(rule.operands)))
    if rule.operands:
        lines.append(f"    {names.rstrip(' ')} = y.src{f'[:{len(rule.operands)}]' if rule.rest else ''}")
    if len(rule.results) == 1 and isinstance(rule.results[0], Handler):
        lines.append(f"    r = {builder.code(rule.results[0], None)}")
        lines.append("    return r if isinstance(r, tuple) else (r,)")
    else:
        values = ["None" if t is None else builder.code(t, f"y{i}.dtype") for i, t in enumerate(rule.results)]
        lines.append(f"    return {', '.join(values)},")
    return "\n".join(lines) + "\n"
