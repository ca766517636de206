"""Puts Sol's kernels where a transformer block writes the same operations out.

The graph is the one that Dynamo hands to a backend, before AOTAutograd: there a block still reads
as its source does (`x * (1 + scale) + shift`), a norm is one node, and shapes and dtypes are
known. After AOTAutograd the same block is decomposed, and differently for each mix of dtypes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from torch.fx import Graph, GraphModule, Node
from torch.nn import functional

from sol.kernels import gate_residual, gate_residual_norm, gelu_tanh, modulated_norm
from sol.skills.kernel_fusion.rewriting.graph_patterns import (
    Found,
    Variable,
    call,
    is_node,
    rounded_to,
)
from sol.skills.kernel_fusion.rewriting.kernel_calls import KernelCall, writes_in_place
from sol.skills.kernel_fusion.rewriting.norm_patterns import NORM, NORM_WITH_BIAS
from sol.skills.kernel_fusion.rewriting.rotary_rewrite import find_rotary


def _is_no_product(value: Any) -> bool:
    """A residual stream is none; half of a rotation is."""
    return is_node(value) and value.target is not operator.mul


_RESIDUAL, _OUTPUT = Variable("residual", _is_no_product), Variable("output")
_SCALED = call(operator.mul, NORM, call(operator.add, 1, Variable("scale")))
_MODULATED = call(operator.add, _SCALED, Variable("shift"))
_GATED = call(operator.add, _RESIDUAL, call(operator.mul, _OUTPUT, Variable("gate")))
_SUMMED = call(operator.add, _RESIDUAL, _OUTPUT)
_LINEAR = call(functional.linear, Variable("x"), Variable("weight"), Variable("bias"))
_GELU = call(functional.gelu, Variable("product"), approximate="tanh")


def rewrite_with_kernels(module: GraphModule) -> Mapping[str, int]:
    """Replaces in place what the kernels compute, and says how often, by operator.

    Equal up to rounding: a kernel computes in float32 and rounds once. Inductor is told nothing:
    it calls the operators as they stand in the graph, and fuses what is left between them. A graph
    that writes into tensors, other than into ones that it made empty itself, stays as it is.

    Args:
        module: What Dynamo gives to a backend; its nodes carry their example values.
    """
    counts = dict.fromkeys(_REWRITES, 0)
    if not writes_in_place(module.graph):
        for name, rewrite in _REWRITES.items():
            counts[name] = rewrite(module.graph)
    if any(counts.values()):
        module.graph.lint()
        module.recompile()
    return MappingProxyType(counts)


def _rewrite_rotary(graph: Graph) -> int:
    return sum(kernel.replace() for kernel in find_rotary(graph))


def _rewrite_gelu(graph: Graph) -> int:
    return sum(_move_bias(node) for node in _read(graph))


def _move_bias(gelu: Node) -> bool:
    """Takes the bias out of the linear layer before a GELU and gives both to the kernel."""
    for found in _GELU.match(gelu, {}):
        product = found["product"]
        linear = next(_LINEAR.match(product, {}), None)
        if linear is None or product.target is not functional.linear or len(product.users) > 1:
            continue
        if KernelCall(gelu_tanh.OPERATOR, (product, linear["bias"]), (gelu,)).replace():
            product.args = (*product.args[:2], None)
            return True
    return False


def _each(find: Callable[[Node], Iterator[KernelCall]]) -> Callable[[Graph], int]:
    """Tries at each node what `find` finds there, until something can be replaced."""

    def rewrite(graph: Graph) -> int:
        return sum(any(kernel.replace() for kernel in find(node)) for node in _read(graph))

    return rewrite


def _read(graph: Graph) -> Iterator[Node]:
    """The nodes that something reads when it is their turn."""
    return (node for node in list(graph.nodes) if node.users)


def _find_chains(node: Node) -> Iterator[KernelCall]:
    for norm in (*_MODULATED.match(node, {}), *NORM_WITH_BIAS.match(node, {})):
        stream = norm["x"]
        for found in (*_GATED.match(stream, {}), *_SUMMED.match(stream, {})):
            added = (found["residual"], found["output"], found.get("gate"))
            arguments = (*added, norm.get("scale"), norm["shift"], *_settings(norm))
            outputs = (stream, rounded_to(node, stream))
            yield KernelCall(gate_residual_norm.OPERATOR, arguments, outputs)


def _find_modulated_norms(node: Node) -> Iterator[KernelCall]:
    for norm in _MODULATED.match(node, {}):
        arguments = (norm["x"], norm["scale"], norm["shift"], *_settings(norm))
        yield KernelCall(modulated_norm.OPERATOR, arguments, (rounded_to(node, norm["x"]),))


def _find_gates(node: Node) -> Iterator[KernelCall]:
    for found in _GATED.match(node, {}):
        arguments = (found["residual"], found["output"], found["gate"])
        outputs = (rounded_to(node, found["residual"]),)
        yield KernelCall(gate_residual.OPERATOR, arguments, outputs)


def _settings(norm: Found) -> tuple[Node | None, str, float]:
    return norm.get("weight"), norm["norm"], norm["eps"]


# In this order: a chain holds a norm and a gate.
_REWRITES: Mapping[str, Callable[[Graph], int]] = {
    "qk_norm_rotary": _rewrite_rotary,
    "gelu_tanh": _rewrite_gelu,
    "gate_residual_norm": _each(_find_chains),
    "modulated_norm": _each(_find_modulated_norms),
    "gate_residual": _each(_find_gates),
}
