"""The document of `anneal explain` as text. Nothing is known here but what the document says.

>>> style = Style(sys.stdout, plain=True)
>>> print(steps([Step(rule="double", group="algebra", text="x + x => x * 2", doc="", before="y + y", after="y*2", whole=None, times=1)], style)[-1])
    -> y*2
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from anneal.cli.highlight import wgsl as coloured
from anneal.cli.output import Style
from anneal.export.schema.explain import Explanation, Group, Input, Kernel, Operation, Pass, Rule, Shown, Stage, Step, Trace
from anneal.runtime.explain_text import SCOPES
from anneal.view.expression import CUT

FEW: Final = 6
"""Steps of a stage that are shown unless all are asked for."""
_PRIMED: Final = re.compile(r"%\d+'")
_ROLES: Final = {
    "matches": ("may take its place", "may take its place"),
    "inside": ("looks for it among the operands", "look for it among the operands"),
    "builds": ("builds it", "build it"),
}
"""What one rule does with an op, and what several do."""


def lines(document: Explanation, style: Style, *, everything: bool = False, wgsl: bool = False) -> list[str]:
    """Everything that the document says."""
    most = sys.maxsize if everything else FEW
    parts: list[list[str]] = []
    if "op" in document:
        parts.append(_operation(document["op"], style, most, wgsl=wgsl))
    if "rule" in document:
        parts.append(_shown(document["rule"], style, most))
    if "stage" in document:
        parts.append(_stage(document["stage"], style))
    if "group" in document:
        parts.append(_group(document["group"], style))
    if "expression" in document:
        parts.append(_trace(document["expression"], style, most, wgsl=wgsl))
    if "rules" in document:
        parts.append(_all_rules(document["rules"], style))
    made = [line for number, part in enumerate(parts) for line in ([""] * bool(number) + part)]
    return [line.replace(CUT, "...") for line in made] if style.plain else made


def _operation(op: Operation, style: Style, most: int, *, wgsl: bool) -> list[str]:
    facts = [op["category"], "any number of operands" if op["arity"] < 0 else _count(op["arity"], "operand")]
    facts += [f"written {op['symbol']}"] * bool(op["symbol"]) + ["commutative"] * op["commutative"] + ["gives bool"] * op["compares"]
    facts += {"float": ["of floats"], "int": ["of integers"], "bits": ["of integers and bool"]}.get(op["domain"], [])
    made = [f"{style.bold(op['name'])}, an op: {op['doc']}", style.dim(f"  {', '.join(facts)}")]
    if op["method"]:
        made.append(style.dim(f"  tensors have a method of this name: anneal explain '{op['method']}'"))
    for role, words in _ROLES.items():
        found = [c["rule"] for c in op["concerns"] if c["role"] == role]
        if found:
            made += ["", style.bold(f"{_count(len(found), 'rule')} that {words[len(found) > 1]}"), *_table(found, style)]
    if op["gradient"] is not None:
        made += ["", style.bold("gradient"), *_table([op["gradient"]], style)]
    if op["seen"] is not None:
        made += ["", style.bold(op["seen"]["name"]), f"  {op['seen']['doc']}"]
    if op["trace"] is not None:
        made += ["", *_trace(op["trace"], style, most, wgsl=wgsl)]
    return made


def _shown(shown: Shown, style: Style, most: int) -> list[str]:
    rule = shown["rule"]
    doc = f": {rule['doc']}" if rule["doc"] else ""
    made = [f"{style.bold(rule['name'])}, a rule of group {rule['group']}{doc}", f"  {rule['text']}"]
    made.append(style.dim(f"  {rule['file']}:{rule['line']}, tried on {', '.join(rule['matches'][:8])}{', …' if len(rule['matches']) > 8 else ''}"))
    made += [f"  assumes {word['name']}: {word['doc']}" for word in rule["assumes"]]
    made += [f"  calls {word['name']}: {word['doc']}" for word in rule["calls"]]
    if rule["fired"] is not None:
        fired = f"fired {_times(rule['fired'])}" if rule["fired"] else "never fired"
        made.append(f"  {fired} when the examples were compiled")
    if shown["trace"] is None:
        return [*made, "", "no instance of its pattern was found on which it fires, and it fires in no example"]
    made += ["", style.bold(shown["place"]), *_trace(shown["trace"], style, most, wgsl=False)]
    if shown["compiled"] is not None:
        made += ["", style.bold("the same under all rules of its stage"), *_trace(shown["compiled"], style, most, wgsl=False)]
    return made


def _stage(stage: Stage, style: Style) -> list[str]:
    made = [f"{style.bold(stage['name'])}, a stage: {stage['ensures']}"]
    before, after = stage["nodes_before"], stage["nodes_after"]
    sizes = [f"{before} nodes before" if before is not None else "", f"{after} after" if after is not None else "text after"]
    took = [] if stage["milliseconds"] is None else [f"{stage['milliseconds']:.1f} ms, watched"]
    made += ["", style.bold(f"on {stage['model']}"), f"  {', '.join([s for s in sizes if s] + [_count(stage['rewrites'], 'rewrite')] + took)}"]
    made += _columns([(name, str(times)) for name, times in stage["fired"].items()])
    if stage["groups"]:
        rows = [(g["name"], f"fired {_times(g['fired'])}" if g["fired"] else "never fired", g["title"]) for g in stage["groups"]]
        made += ["", style.bold("groups of rules that run in it"), *_columns(rows)]
    return made


def _group(group: Group, style: Style) -> list[str]:
    return [f"{style.bold(group['name'])}, a group of {_count(len(group['rules']), 'rule')}: {group['title']}", "", *_table(group["rules"], style)]


def _all_rules(found: Sequence[Rule], style: Style) -> list[str]:
    made: list[str] = []
    for name in dict.fromkeys(r["group"] for r in found):
        made += [*([""] * bool(made)), style.bold(name), *_table([r for r in found if r["group"] == name], style)]
    silent = sum(r["fired"] == 0 for r in found)
    return [*made, "", f"{_count(len(found), 'rule')}, {silent} of which never fired when the examples were compiled"]


def _table(found: Sequence[Rule], style: Style) -> list[str]:
    """Rules one a line, with their comments, and how often they fired where that was counted."""
    wide = max((len(r["name"]) for r in found), default=0)
    made = []
    for rule in found:
        fired = "" if rule["fired"] is None else f"{rule['fired'] or 'never':>6}  "
        doc = f"  # {rule['doc']}" if rule["doc"] else ""
        made.append(f"  {fired}{rule['name']:<{wide}}  {rule['text']}{style.dim(doc)}")
    return made


def _trace(trace: Trace, style: Style, most: int, *, wgsl: bool) -> list[str]:
    made = [style.bold(trace["source"]), *_inputs(trace["inputs"]), *([""] * (len(trace["passes"]) == 1))]
    alone = len(trace["passes"]) == 1
    for each in trace["passes"]:
        if not alone:
            holds = each["ensures"] if each["milliseconds"] is None else f"afterwards {each['ensures']}"
            made += ["", f"{style.bold(each['stage'])}  {style.dim(holds)}"]
        made += _pass(each, style, most, alone=alone)
        if each["stage"] == "kernels":
            made += [line for kernel in trace["kernels"] for line in _kernel(kernel, style)]
        if each["stage"] == "wgsl":
            made += [line for k in trace["kernels"] for line in ("", *coloured(k["wgsl"], style).splitlines())] if wgsl else _sources(trace["kernels"], style)
    if any(_PRIMED.search(f"{s['before']} {s['after']}") for each in trace["passes"] for s in each["steps"]):
        made += ["", style.dim("%1 is a part of the program, numbered anew after each stage; %1' is that part on operands that were rewritten")]
    if alone and trace["passes"][0]["stage"] != "alone":
        steps = trace["passes"][0]["rewrites"]
        made += ["", *trace["result"][:-1], style.bold(trace["result"][-1]) + (f"  after {_count(steps, 'step')}" if steps else "  no rule changes it")]
    return made


def _inputs(inputs: Sequence[Input]) -> list[str]:
    """What the free names are, and how to say otherwise."""
    made = []
    for each in inputs:
        ranged = each["low"] is not None
        what = (
            f"an integer in {each['low']}..{each['high']}" if ranged else each["dtype"] + (f"({', '.join(map(str, each['shape']))})" if each["shape"] else "")
        )
        otherwise = f"--let {each['name']}=0..9" if ranged else f"--let '{each['name']}={each['dtype']}(8, 3)'"
        made.append(f"  {each['name']}: {what}" + (f", assumed: {otherwise} says otherwise" if each["assumed"] else ""))
    return made


def _pass(each: Pass, style: Style, most: int, *, alone: bool) -> list[str]:
    """What a stage did: its first steps, what the others were, and the program after it."""
    few = 0 if each["stage"] == "lowered" and most == FEW else most
    made = steps(each["steps"][:few], style)
    if rest := each["steps"][few:]:
        told = ", ".join(f"{name} {times}" for name, times in Counter(s["rule"] for s in rest).most_common(FEW))
        made.append(style.dim(f"  {_count(len(rest), 'step')}{' more' if few else ''} (--all shows them): {told}"))
    if alone:
        return made
    if each["stage"] == "lowered" and most == FEW:
        made.append(style.dim(f"  {_count(len(each['graph']), 'line')} of instructions (--all shows them)"))
    elif each["steps"] or each["milliseconds"] is None:
        made += [f"  {line}" for line in each["graph"]]
    elif each["graph"]:
        made.append("  no rule fires")
    if each["nodes"]:
        made.append(style.dim(f"  {_count(each['nodes'], 'node')}" + (f", {_count(each['rewrites'], 'rewrite')}" if each["rewrites"] else "")))
    return made


def steps(found: Iterable[Step], style: Style) -> list[str]:
    """Each step: the rule as it is written, and the node before and after."""
    made: list[str] = []
    arrow = "->" if style.plain else "→"
    for number, step in enumerate(found, 1):
        times = f"  {'x' if style.plain else '×'}{step['times']}" if step["times"] > 1 else ""
        made.append(f"{number:>3} {style.bold(step['rule'])}  {step['text']}{times}".rstrip())
        if step["doc"]:
            made.append(style.dim(f"    # {step['doc']}"))
        made += [f"       {step['before']}", f"{arrow:>6} {step['after']}"]
        if step["whole"] is not None:
            made.append(style.dim(f"       all: {step['whole']}"))
    return made


def _kernel(kernel: Kernel, style: Style) -> list[str]:
    made = ["", f"  {style.bold(kernel['name'])}  {style.phases(kernel['phases'])}", *(f"    {line}" for line in kernel["body"])]
    return made + [style.dim(f"    {SCOPES[b['scope']]:<12} {b['value']}: {b['reason']}") for b in kernel["boundaries"]]


def _sources(kernels: Sequence[Kernel], style: Style) -> list[str]:
    """That there is source, and how to see it."""
    count = sum(len(k["wgsl"].splitlines()) for k in kernels)
    return [style.dim(f"  {_count(count, 'line')} of WGSL (--wgsl shows them)")]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    wide = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    return [("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, wide, strict=True))).rstrip() for row in rows]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
