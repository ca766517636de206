"""Every technique and skill by name: the one table through which they are found."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sol.errors import UnknownNameError
from sol.skills.cache.attention.pab import PAB
from sol.skills.cache.blocks.first_block import FIRST_BLOCK
from sol.skills.cache.blocks.magcache import MAGCACHE
from sol.skills.cache.blocks.teacache import TEACACHE
from sol.skills.cache.exact.modulation import MODULATION
from sol.skills.cache.exact.prompt_projection import PROMPT_PROJECTION
from sol.skills.cache.exact.rotary_tables import ROTARY_TABLES
from sol.skills.cache.exact.text_kv import TEXT_KV
from sol.skills.cache.guidance.cfg_reuse import CFG_REUSE
from sol.skills.cache.libraries.cache_dit import CACHE_DIT
from sol.skills.cache.libraries.diffusers_first_block import DIFFUSERS_FIRST_BLOCK
from sol.skills.cache.libraries.diffusers_mag import DIFFUSERS_MAG
from sol.skills.cache.libraries.diffusers_taylorseer import DIFFUSERS_TAYLORSEER
from sol.skills.cache.steps.easycache import EASYCACHE
from sol.skills.cache.steps.planned import PLANNED
from sol.skills.cache.steps.step_mask import STEP_MASK
from sol.skills.kernel_fusion.attention.attention_backend import ATTENTION_BACKEND
from sol.skills.kernel_fusion.attention.shared_prefix import SHARED_PREFIX
from sol.skills.kernel_fusion.compiling.cuda_graphs import CUDA_GRAPHS
from sol.skills.kernel_fusion.compiling.full_compile import FULL_COMPILE
from sol.skills.kernel_fusion.compiling.regional_compile import REGIONAL_COMPILE
from sol.skills.kernel_fusion.linear.fused_qkv import FUSED_QKV
from sol.skills.kernel_fusion.linear.packed_linear import PACKED_LINEAR
from sol.skills.quantization.autocast import AUTOCAST
from sol.skills.quantization.bf16_linear import BF16_LINEAR
from sol.skills.quantization.int8_dynamic import INT8_DYNAMIC
from sol.skills.quantization.int8_rows import INT8_ROWS
from sol.skills.quantization.torchao.fp8 import FP8
from sol.skills.quantization.torchao.int8_torchao import INT8_TORCHAO
from sol.skills.quantization.torchao.nvfp4 import NVFP4
from sol.skills.quantization.torchao.weight_only import WEIGHT_ONLY
from sol.skills.sparse_attention.radial import RADIAL
from sol.skills.sparse_attention.spatial_temporal import SPATIAL_TEMPORAL
from sol.skills.sparse_attention.topk_blocks import TOPK_BLOCKS
from sol.skills.sparse_attention.window3d import WINDOW3D
from sol.skills.token_pruning.dvg.dvg import DVG
from sol.skills.token_pruning.hilo.hilo import HILO
from sol.skills.token_pruning.merging.tome import TOME
from sol.skills.token_pruning.pruning.ras import RAS
from sol.skills.token_pruning.pruning.stale_tokens import STALE_TOKENS
from sol.skills.token_pruning.pruning.token_prune import TOKEN_PRUNE
from sol.technique import Technique

TECHNIQUES: Mapping[str, Technique] = MappingProxyType(
    {
        technique.name: technique
        for technique in (
            PLANNED,
            EASYCACHE,
            TEACACHE,
            MAGCACHE,
            FIRST_BLOCK,
            STEP_MASK,
            PAB,
            CFG_REUSE,
            TEXT_KV,
            PROMPT_PROJECTION,
            ROTARY_TABLES,
            MODULATION,
            DIFFUSERS_FIRST_BLOCK,
            DIFFUSERS_MAG,
            DIFFUSERS_TAYLORSEER,
            CACHE_DIT,
            TOPK_BLOCKS,
            WINDOW3D,
            RADIAL,
            SPATIAL_TEMPORAL,
            STALE_TOKENS,
            TOKEN_PRUNE,
            RAS,
            TOME,
            DVG,
            HILO,
            INT8_DYNAMIC,
            INT8_ROWS,
            INT8_TORCHAO,
            FP8,
            WEIGHT_ONLY,
            NVFP4,
            BF16_LINEAR,
            AUTOCAST,
            REGIONAL_COMPILE,
            FULL_COMPILE,
            CUDA_GRAPHS,
            PACKED_LINEAR,
            ATTENTION_BACKEND,
            SHARED_PREFIX,
            FUSED_QKV,
        )
    }
)

SKILLS: tuple[str, ...] = tuple(dict.fromkeys(t.skill for t in TECHNIQUES.values()))


def get_technique(name: str) -> Technique:
    """The technique called `name`.

    Raises:
        UnknownNameError: There is none; the known ones are listed.
    """
    if name not in TECHNIQUES:
        raise UnknownNameError("technique", name, TECHNIQUES, "`sol skills` describes them.")
    return TECHNIQUES[name]
