"""The pieces of Python that a snippet is put together from.

Only names and numbers that were checked go into code, as Python writes them itself.
"""

from __future__ import annotations

from dataclasses import dataclass

# What several pieces need: the repeated blocks are the denoiser's longest list of modules.
FIND_BLOCKS = '''\
def find_blocks(transformer):
    """The repeated blocks by name."""
    lists = [
        (name, child)
        for name, child in transformer.named_children()
        if isinstance(child, torch.nn.ModuleList)
    ]
    name, blocks = max(lists, key=lambda item: len(item[1]))
    return {f"{name}.{i}": block for i, block in enumerate(blocks)}
'''


@dataclass(frozen=True)
class Piece:
    """What one technique adds to a snippet.

    Attributes:
        install: Statements for `accelerate(transformer)`, which is run once.
        imports: Import statements beyond torch and DiffusionPipeline.
        functions: Whole definitions of functions, and of constants that these read.
        before_call: Statements before each video, for `generate`; `pipe` is there.
        call_arguments: Further arguments of the call, as "name=value".
    """

    install: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    before_call: tuple[str, ...] = ()
    call_arguments: tuple[str, ...] = ()
