"""Block-sparse attention on a CPU: the kept blocks are gathered, then attended to densely.

The query blocks of a head that keep equally many key blocks are the batch of an ordinary
attention call. What is gathered for a call stays in the second-level cache until it is used: to
gather all that is kept at once took up to half as long again.

With the remainder "mean" the block means are further keys of the same call; a mean's score is
raised by the logarithm of its block's length. To compute them apart and merge both by their
log-sum-exp took up to a third longer, since they are so few.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from sol.kernels.block_sparse_attention.gathering_plan import HeadPlan, make_gathering_plan
from sol.kernels.block_sparse_attention.key_table import KeyTable, table_shape
from sol.kernels.block_sparse_attention.layout import BlockLayout
from sol.kernels.block_sparse_attention.remainder import Remainder

# Of keys and values, for each thread: a quarter of a second-level cache of 2 MB measured best.
_BYTES_GATHERED = 1 << 19


def find_obstacle(
    device: torch.device,
    dtype: torch.dtype,
    head_dim: int,
    layout: BlockLayout,
    remainder: Remainder,
) -> str | None:
    """Why this path cannot run; None where it can."""
    if device.type != "cpu":
        return f"gathering is made for the caches of a CPU, got {device.type}"
    return None


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: BlockLayout,
    remainder: Remainder,
    scale: float,
) -> Tensor:
    """See `block_sparse_attention`."""
    batch, n_heads, n_tokens, head_dim = query.shape
    shape = layout.get_form(table_shape, remainder == "mean")
    bytes_a_key = 2 * head_dim * key.element_size()
    chunk_keys = _BYTES_GATHERED * torch.get_num_threads() // bytes_a_key
    plan = layout.get_form(make_gathering_plan, shape, chunk_keys)
    n_rows = max(chunk.rows.numel() for head in plan for chunk in head.chunks)
    keys, values = (KeyTable(x, layout, shape, n_rows) for x in (key, value))
    n_padding = layout.n_blocks * layout.block - n_tokens
    padded = functional.pad(query, (0, 0, 0, n_padding)) if n_padding > 0 else query
    # Tokens before heads in memory, as models go on with it.
    output = query.new_empty(batch, padded.shape[2], n_heads, head_dim).transpose(1, 2)
    by_block = (layout.n_blocks, 1, layout.block)
    queries, outputs = (torch.unflatten(x, 2, by_block) for x in (padded, output))
    for sample, head in product(range(batch), range(n_heads)):
        keys.load(sample, head)
        values.load(sample, head)
        own = plan[(sample * n_heads + head) % len(plan)]
        _attend_head(queries[sample, head], keys, values, own, scale, outputs[sample, head])
    return output[:, :, :n_tokens]


def _attend_head(
    queries: Tensor,
    keys: KeyTable,
    values: KeyTable,
    plan: HeadPlan,
    scale: float,
    outputs: Tensor,
) -> None:
    """Queries and outputs are (n_blocks, 1, block, head_dim); writes into the latter."""
    if plan.order is not None:
        queries = queries[plan.order]
    ordered = outputs if plan.order is None else torch.empty_like(queries)
    for chunk in plan.chunks:
        ordered[chunk.queries] = functional.scaled_dot_product_attention(
            queries[chunk.queries],
            keys.gather(chunk.rows),
            values.gather(chunk.rows),
            attn_mask=chunk.bias,
            scale=scale,
        )
    if plan.order is not None:
        outputs[plan.order] = ordered
