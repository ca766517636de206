"""Puts a kernel's call into a graph in the place of what it computes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Graph, Node

from sol.kernels.operator.arguments import KernelArgumentError
from sol.skills.kernel_fusion.rewriting.graph_patterns import example_value

# What `x += y` and its like become.
_AUGMENTED = ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul")


@dataclass(frozen=True)
class KernelCall:
    """An operator on values of a graph.

    Attributes:
        operator: In the form that stands in a graph.
        arguments: Nodes and constants.
        replaces: The nodes that hold its outputs so far, one for each.
        writes: What filled those nodes in place, before anything read them.
    """

    operator: Callable[..., Any]
    arguments: tuple[Any, ...]
    replaces: tuple[Node, ...]
    writes: tuple[Node, ...] = ()

    def replace(self) -> bool:
        """Replaces the nodes, if the operator takes the arguments and computes the same."""
        readers = {user for node in self.replaces for user in node.users} - set(self.writes)
        if not readers or not self._fits():
            return False
        first = min(readers)
        if not all(argument < first for argument in self._inputs):
            return False
        self._insert_before(first)
        return True

    @property
    def _inputs(self) -> list[Node]:
        return [argument for argument in self.arguments if isinstance(argument, Node)]

    def _fits(self) -> bool:
        """Whether the outputs for the example values have the shapes and dtypes to replace."""
        examples = {node: example_value(node) for node in (*self._inputs, *self.replaces)}
        if any(example is None for example in examples.values()):
            return False
        try:
            outputs = self.operator(*(examples.get(a, a) for a in self.arguments))
        except KernelArgumentError:
            return False
        return all(
            _form(new) == _form(examples[old])
            for new, old in zip(_as_tuple(outputs), self.replaces, strict=True)
        )

    def _insert_before(self, first: Node) -> None:
        graph = first.graph
        with graph.inserting_before(first):
            kernel = graph.call_function(self.operator, self.arguments)
            outputs = (
                [kernel]
                if len(self.replaces) == 1
                else [
                    graph.call_function(operator.getitem, (kernel, n))
                    for n in range(len(self.replaces))
                ]
            )
        for write in self.writes:
            graph.erase_node(write)
        for old, new in zip(self.replaces, outputs, strict=True):
            new.meta = dict(old.meta)
            old.replace_all_uses_with(new)
        for old in self.replaces:
            _erase_unused(old)


def writes_in_place(graph: Graph) -> bool:
    """Whether any call changes a tensor that something outside its own buffer could read.

    Filling a tensor that was made empty in the graph, as rotary embeddings do, is none.
    """
    return any(_is_write(node) for node in graph.nodes)


def _is_write(node: Node) -> bool:
    if node.target is operator.setitem:
        return node.args[0].target is not torch.empty_like  # type: ignore[union-attr]
    if node.op not in ("call_method", "call_function"):
        return False
    if node.kwargs.get("inplace") or "out" in node.kwargs:
        return True
    if isinstance(node.target, torch._ops.OpOverload):
        return bool(node.target._schema.is_mutable)
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name in _AUGMENTED or (name.endswith("_") and not name.endswith("__"))


def _erase_unused(node: Node) -> None:
    """Erases a node that nothing reads, and then what only it had read."""
    if node.users or node.op in ("placeholder", "get_attr"):
        return
    inputs = node.all_input_nodes
    node.graph.erase_node(node)
    for read in inputs:
        _erase_unused(read)


def _form(tensor: Any) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _as_tuple(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
