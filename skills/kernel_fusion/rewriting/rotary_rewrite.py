"""Finds norm and rotary embedding of queries and keys in a graph, as stock models write them."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.fx import Graph, Node

from sol.kernels import qk_norm_rotary
from sol.skills.kernel_fusion.rewriting.graph_patterns import (
    Call,
    Found,
    Variable,
    call,
    is_any,
    rounded_to,
)
from sol.skills.kernel_fusion.rewriting.kernel_calls import KernelCall
from sol.skills.kernel_fusion.rewriting.norm_patterns import RMS_WITH_WEIGHT as NORM

_COS, _SIN, _HEADS = Variable("cos"), Variable("sin"), Variable("heads", is_any)

_EVEN_COLUMNS = (Ellipsis, slice(0, None, 2))
_ODD_COLUMNS = (Ellipsis, slice(1, None, 2))


def _half(of: Call, axis: int, n: int) -> Call:
    """Even (n = 0) or odd columns, taken apart along `axis`."""
    return call(operator.getitem, call("unbind", call("unflatten", of, axis, (-1, 2)), -1), n)


# LTX: x * cos + (-odd, even) * sin over the whole width.
_TURNED = call(
    "flatten",
    call(torch.stack, [call(operator.neg, _half(NORM, 2, 1)), _half(NORM, 2, 0)], dim=-1),
    2,
)
_BY_COLUMNS = call(operator.add, call(operator.mul, NORM, _COS), call(operator.mul, _TURNED, _SIN))

# Wan: within each head, even and odd columns are written into an empty tensor.
_BY_HEAD = call("unflatten", NORM, 2, _HEADS)
_EVEN, _ODD = _half(_BY_HEAD, -1, 0), _half(_BY_HEAD, -1, 1)
_COS_OF_PAIR = call(operator.getitem, _COS, _EVEN_COLUMNS)
_SIN_OF_PAIR = call(operator.getitem, _SIN, _ODD_COLUMNS)
_EVEN_ROTATED = call(
    operator.sub,
    call(operator.mul, _EVEN, _COS_OF_PAIR),
    call(operator.mul, _ODD, _SIN_OF_PAIR),
)
_ODD_ROTATED = call(
    operator.add,
    call(operator.mul, _EVEN, _SIN_OF_PAIR),
    call(operator.mul, _ODD, _COS_OF_PAIR),
)


@dataclass(frozen=True)
class _Rotated:
    """One of queries and keys: where it is held, what filled it, what it was made from."""

    out: Node
    writes: tuple[Node, ...]
    found: Found

    def shares_tables(self, other: _Rotated) -> bool:
        return all(self.found[key] == other.found[key] for key in ("cos", "sin", "eps"))


def find_rotary(graph: Graph) -> Iterator[KernelCall]:
    """A call for each two rotations by the same tables."""
    waiting: list[_Rotated] = []
    for node in list(graph.nodes):
        key = node.users and (_find_by_columns(node) or _find_by_pairs(node))
        if not key:
            continue
        query = next((one for one in waiting if one.shares_tables(key)), None)
        if query is None:
            waiting.append(key)
        else:
            waiting.remove(query)
            yield _kernel_call(query, key)


def _kernel_call(query: _Rotated, key: _Rotated) -> KernelCall:
    q, k = query.found, key.found
    arguments = (q["x"], k["x"], q["weight"], k["weight"], q["cos"], q["sin"], q["eps"])
    writes = (*query.writes, *key.writes)
    return KernelCall(qk_norm_rotary.OPERATOR, arguments, (query.out, key.out), writes)


def _find_by_columns(node: Node) -> _Rotated | None:
    if node.target is not operator.add:
        return None
    found = next(_BY_COLUMNS.match(node, {}), None)
    return None if found is None else _Rotated(rounded_to(node, found["x"]), (), found)


def _find_by_pairs(node: Node) -> _Rotated | None:
    if node.target is not torch.empty_like:
        return None
    writes = [user for user in node.users if user.target is operator.setitem]
    columns = [write.args[1] for write in writes]
    # What reads the tensor comes after both.
    if columns != [_EVEN_COLUMNS, _ODD_COLUMNS] or sorted(node.users)[:2] != writes:
        return None
    for known in _EVEN_ROTATED.match(writes[0].args[2], {}):
        for found in _ODD_ROTATED.match(writes[1].args[2], known):
            return _Rotated(node, tuple(writes), found)
    return None
