"""One matrix product for query, key and value.

Of a self-attention all three, of a cross-attention key and value, which are both made of the text.
diffusers can do it for some families (`fuse_projections`, where the processor has a path for it);
this works for all, whatever the processor does between the layers.

Measured on a CPU: no gain, because a product of three times the width takes three times as long
there, and what follows reads its input with a stride. Unmeasured on a GPU, where it saves two
launches and two readings of the input for each attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from sol.attach import find_places, replace_child, undo_all, undo_on_error
from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import NoEffectError
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.kernel_fusion.denoiser_calls import count_denoiser_calls
from sol.skills.kernel_fusion.linear.joint_projection import JointProjection, ProjectionShare
from sol.skills.kernel_fusion.linear.plain_linear import is_plain_linear
from sol.space import Choice, Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True)
class FusedQKVConfig:
    """Settings.

    Attributes:
        attentions: Which; where keys and values of the text are kept from step to step, those of
            the cross-attention are made once a video, and not worth it.
    """

    __pydantic_config__ = STRICT

    attentions: Literal["self", "all"] = "self"


def install(roles: Roles, config: FusedQKVConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Replaces layers that stand together; one that is no plain layer leaves its group as it is.

    Raises:
        NoEffectError: No group of plain layers of one kind was found.
    """
    undos: list[Callable[[], None]] = []
    joints: list[JointProjection] = []
    with undo_on_error(undos):
        for denoiser in roles.denoisers:
            for group in _groups(denoiser, config):
                joints.append(_join(denoiser, group, undos))
        if not joints:
            raise NoEffectError(
                f"fused_qkv found no projections for attentions={config.attentions!r} that are "
                "plain linear layers of one kind: nothing was fused."
            )
        calls = count_denoiser_calls(roles.denoisers, "fused_qkv", undos)

    def evidence() -> Evidence:
        n_used = sum(joint.was_used for joint in joints)
        counts = {"groups_fused": len(joints), "groups_used": n_used, "denoiser_calls": calls.n}
        return Evidence(n_used > 0, counts)

    return Installed(lambda: undo_all(undos), evidence)


def _groups(denoiser: DenoiserRoles, config: FusedQKVConfig) -> Iterator[list[nn.Linear]]:
    """The plain layers that have an input in common, two or more."""
    together: list[Sequence[nn.Module]] = [*denoiser.self_projections]
    if config.attentions == "all":
        together += [site.text_only for site in denoiser.cross_attention]
    for modules in together:
        group = [module for module in modules if is_plain_linear(module)]
        if len(group) > 1 and len({_kind(layer) for layer in group}) == 1:
            yield group


def _kind(layer: nn.Linear) -> tuple[object, ...]:
    return (layer.in_features, layer.weight.dtype, layer.weight.device, layer.bias is None)


def _join(
    denoiser: DenoiserRoles, group: list[nn.Linear], undos: list[Callable[[], None]]
) -> JointProjection:
    joint = JointProjection(group)
    shares: dict[nn.Module, ProjectionShare] = {
        layer: ProjectionShare(joint, index) for index, layer in enumerate(group)
    }
    for parent, name, layer in find_places(denoiser.module, group):
        undos.append(replace_child(parent, name, shares[layer]))
    return joint


def space(context: SpaceContext) -> Space:
    """Which attentions."""
    return Space(
        knobs={"attentions": Choice(("self", "all"))},
        first=({"attentions": "self"},),
    )


def saves(diagnosis: Diagnosis) -> float:
    """All layers of a group but one, as if the joint product took no longer than that one."""
    qkv, text = (diagnosis.part_s.get(part, 0.0) for part in ("qkv", "text_projection"))
    return qkv * 2 / 3 + text / 2


FUSED_QKV = Technique(
    name="fused_qkv",
    skill="kernel_fusion",
    summary="query, key and value in one matrix product",
    exactness="numerical",
    requires=frozenset({Capability.SELF_ATTENTION}),
    writes=frozenset({Seam.LINEAR_KERNEL}),
    phase=Phase.MODULES,
    config=FusedQKVConfig,
    install=install,
    space=space,
    saves=saves,
)
