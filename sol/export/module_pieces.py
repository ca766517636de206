"""What changes the denoiser's modules or compiles them, in a snippet."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sol.export.members import InexpressibleError, StackMember
from sol.export.snippet import FIND_BLOCKS, Piece
from sol.skills.quantization.placement import BLOCK_KINDS, parse_placement
from sol.skills.quantization.settings import QuantizationSettings

_AUTOCAST = '''\
def autocast(module, dtype):
    """Matrix products of the module in `dtype`; what it returns is float32 again."""
    forward = module.forward

    def cast(*args, **kwargs):
        with torch.autocast(module.device.type, dtype):
            output = forward(*args, **kwargs)
        return tree_map_only(torch.Tensor, lambda t: t.float() if t.dtype == dtype else t, output)

    module.forward = cast
'''
_QUANTIZE = '''\
def quantize_blocks(transformer, config, takes):
    """Quantises the linear layers inside the blocks that the format takes."""

    def is_meant(module, name):
        return isinstance(module, torch.nn.Linear) and takes(module)

    for block in find_blocks(transformer).values():
        quantize_(block, config, is_meant)
'''


def regional_compile(member: StackMember) -> Piece:
    """As diffusers' compile_repeated_blocks, which knows the blocks of some models only."""
    _require_inductor(member)
    return Piece(
        functions=(FIND_BLOCKS,),
        install=(
            "for block in find_blocks(transformer).values():",
            f"    block.compile({_compile_arguments(member)})",
        ),
    )


def full_compile(member: StackMember) -> Piece:
    """torch.compile of the whole denoiser."""
    _require_inductor(member)
    return Piece(install=(f"transformer.compile({_compile_arguments(member)})",))


def attention_backend(member: StackMember) -> Piece:
    """diffusers sets the back-end of all attentions of a denoiser."""
    config = member.config
    if config.sites != "all":
        raise InexpressibleError(
            f"diffusers sets it for all attentions, the recipe for {config.sites}-attention alone"
        )
    return Piece(install=(f"transformer.set_attention_backend({config.backend!r})",))


def autocast(member: StackMember) -> Piece:
    """Around the denoiser alone: text encoder and decoder keep their precision."""
    config = member.config
    full = member.workload.steps - len(member.active_steps) + config.full_first + config.full_last
    if full:
        raise InexpressibleError("torch cannot leave out some of the steps")
    return Piece(
        imports=("from torch.utils._pytree import tree_map_only",),
        functions=(_AUTOCAST,),
        install=(f"autocast(transformer, torch.{config.dtype})",),
    )


def int8_torchao(member: StackMember) -> Piece:
    """torchao's int8 for weights and activations."""
    name = "Int8DynamicActivationInt8WeightConfig"
    return _quantized(member, name, "set_inductor_config=False", _multiples(8, 8))


def weight_only(member: StackMember) -> Piece:
    """torchao's formats for weights alone."""
    config = member.config
    by_format: Mapping[str, Callable[[], Piece]] = {
        "int8": lambda: _quantized(
            member, "Int8WeightOnlyConfig", "set_inductor_config=False", "True"
        ),
        "fp8": lambda: _quantized(
            member, "Float8WeightOnlyConfig", "set_inductor_config=False", "True"
        ),
        "int4": lambda: _quantized(
            member,
            "Int4WeightOnlyConfig",
            f"group_size={config.group_size!r}, int4_packing_format='tile_packed_to_4d', "
            "set_inductor_config=False",
            f"{_multiples(config.group_size, 1)} and {_IS_BFLOAT16}",
        ),
    }
    return by_format[config.format]()


def fp8(member: StackMember) -> Piece:
    """torchao's float8 for weights and activations, scaled by rows or whole tensors."""
    granularity = member.config.granularity
    if granularity == "block":
        raise InexpressibleError("its blocks need Sol's check of each layer's shape")
    name = {"row": "PerRow", "tensor": "PerTensor"}[granularity]
    return _quantized(
        member,
        "Float8DynamicActivationFloat8WeightConfig",
        f"granularity={name}(), set_inductor_config=False",
        f"{_multiples(16, 16)} and {_IS_BFLOAT16}",
        also_import=name,
    )


_IS_BFLOAT16 = "layer.weight.dtype == torch.bfloat16"


def _multiples(n_in: int, n_out: int) -> str:
    return f"layer.in_features % {n_in} == 0 and layer.out_features % {n_out} == 0"


def _quantized(
    member: StackMember, config_name: str, arguments: str, takes: str, also_import: str = ""
) -> Piece:
    _require_plain(member.config)
    _require_everywhere(member)
    names = ", ".join(sorted(filter(None, (config_name, also_import, "quantize_"))))
    return Piece(
        imports=(f"from torchao.quantization import {names}",),
        functions=(FIND_BLOCKS, _QUANTIZE),
        install=(
            f"config = {config_name}({arguments})",
            "quantize_blocks(",
            "    transformer,",
            "    config,",
            f"    lambda layer: {takes},",
            ")",
        ),
    )


def _require_plain(settings: QuantizationSettings) -> None:
    if settings.needs_switching:
        raise InexpressibleError("torchao keeps one precision for all calls, and does not smooth")
    if settings.rank:
        raise InexpressibleError("torchao has no low-rank correction beside the weights")
    ranges = parse_placement(settings.layers)
    if dict(ranges) != dict.fromkeys(BLOCK_KINDS, "all"):
        raise InexpressibleError(
            f"the layers {settings.layers!r} have other names in every model; only all layers of "
            "all blocks can be said"
        )


def _require_everywhere(member: StackMember) -> None:
    if member.schedule.restricted_axes:
        raise InexpressibleError("torchao quantises for all steps, and here all blocks")


def _require_inductor(member: StackMember) -> None:
    if member.config.kernels != "inductor":
        raise InexpressibleError("torch.compile alone does not have Sol's Triton kernels")


def _compile_arguments(member: StackMember) -> str:
    return f"mode={member.config.mode!r}, dynamic={member.config.dynamic!r}"
