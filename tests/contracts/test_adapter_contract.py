"""The suite that every adapter passes (`sol.models`): the roles are what `sol.roles` says."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from contracts.models import OTHER, PLAIN, WIDE, denoise
from diffusers.models.activations import GELU
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from example_prompts import PROMPT
from PIL import Image
from tiny_models import (
    FAMILIES,
    TINY,
    VARIANTS,
    build_tiny,
    build_tiny_experts,
    build_tiny_from_image,
    tiny_workload,
)

from sol.call_form import type_of
from sol.errors import NotApplicableError
from sol.forward_arguments import tensors_in
from sol.models.catalog import CATALOG, FAMILY_WORKLOADS
from sol.models.families import FAMILIES as ADAPTERS
from sol.models.families import describe_roles, get_family_of_class
from sol.models.loading import default_workload, load_model
from sol.roles import Capability
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import render

PIPELINES = (*FAMILIES, *VARIANTS, "wan_experts")


def build(name):
    return build_tiny_experts() if name == "wan_experts" else build_tiny(name)


original = cache(build)


@pytest.fixture(params=PIPELINES)
def name(request):
    return request.param


@pytest.fixture
def pipeline(name):
    return clone_pipeline(original(name))


@pytest.fixture
def workload(name):
    return tiny_workload("wan" if name == "wan_experts" else name)


@pytest.fixture
def roles(pipeline):
    return describe_roles(pipeline)


def record(module):
    """What the module returns, call by call, as tuples of copied tensors."""
    outputs = []

    def remember(_module, _args, output):
        several = output if isinstance(output, tuple) else (output,)
        outputs.append(tuple(tensor.clone() for tensor in several))

    module.register_forward_hook(remember)
    return outputs


def are_equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_every_adapter_has_a_tiny_model_and_a_workload():
    assert set(FAMILIES) == set(ADAPTERS) == set(FAMILY_WORKLOADS)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pipeline_accepts_the_call_of_its_workload(family):
    """Every field of the workload reaches the clip that comes out."""
    workload = tiny_workload(family).with_overrides({"steps": 2})
    large = workload.with_overrides({"height": 64, "num_frames": workload.num_frames + 8})
    pipeline = build_tiny(family)
    small_clip, large_clip = (denoise(pipeline, w, PLAIN) for w in (workload, large))
    assert large_clip.size > 2 * small_clip.size


def test_what_is_absent_has_a_reason(roles):
    absent = set(Capability) - roles.capabilities
    assert absent == set(roles.lacks)
    assert all(len(reason.split()) > 3 for reason in roles.lacks.values())


def test_capabilities_are_backed_by_parts(roles):
    for denoiser in roles.denoisers:
        parts = {
            Capability.BLOCK_RESIDUAL: denoiser.blocks,
            Capability.MODULATED_INPUT: denoiser.modulated_input,
            Capability.SELF_ATTENTION: denoiser.self_attention,
            Capability.GRID_ATTENTION: denoiser.grid_attention,
            Capability.TOKEN_SET: denoiser.token_arguments,
            Capability.COARSE_GRID: denoiser.resize_call,
            Capability.PROMPT_PROJECTION: denoiser.prompt_projection,
            Capability.ROTARY_TABLE: denoiser.rotary,
            Capability.MODULATION: denoiser.modulation,
            Capability.TEXT_CROSS_ATTENTION: any(s.text_only for s in denoiser.cross_attention),
            Capability.REPEATED_BLOCKS: denoiser.blocks,
            Capability.LINEAR_FEED_FORWARD: any(denoiser.feed_forward),
            Capability.GIVEN_TOKENS: denoiser.given_tokens,
        }
        for capability, part in parts.items():
            assert (capability in roles.capabilities) == bool(part)


def test_there_is_one_part_of_each_kind_a_block(roles):
    for denoiser in roles.denoisers:
        n_blocks = len(denoiser.blocks)
        assert n_blocks == 4
        assert len(denoiser.self_attention) == n_blocks
        assert len(denoiser.cross_attention) % n_blocks == 0
        assert all(len(blocks) == n_blocks for blocks in denoiser.linears_by_kind.values())
        assert all(len(layers) == 3 for layers in denoiser.self_projections)
        assert all(len(layers) == 1 for layers in denoiser.self_output)
        assert len(set(map(len, denoiser.cross_projections))) == 1


def test_every_linear_layer_is_in_one_role(roles):
    for denoiser in roles.denoisers:
        named = [*denoiser.block_linears, *denoiser.outer_linears]
        linears = [m for m in denoiser.module.modules() if isinstance(m, torch.nn.Linear)]
        assert len(set(named)) == len(named)
        assert set(named) == set(linears)


def test_a_gelu_projection_is_a_linear_layer_and_gelu(roles, name):
    """None is left out."""
    for denoiser in roles.denoisers:
        pairs = denoiser.gelu_projections
        gelus = [m for b in denoiser.blocks for m in b.modules() if type(m) is GELU]
        assert [pair.module for pair in pairs] == gelus
        layers = {layer for block in denoiser.feed_forward for layer in block}
        assert {pair.linear for pair in pairs} <= layers
        for pair in pairs:
            x = torch.randn(3, pair.linear.in_features)
            expected = torch.nn.functional.gelu(pair.linear(x), approximate=pair.form)
            assert torch.equal(pair.module(x), expected)


def test_attention_sites_are_what_goes_through_the_dispatch(
    pipeline, roles, workload, monkeypatch
):
    """Inside of blocks, in order, with the head dimension and the mask that it is called with.

    Of those whose processor tells the dispatch a back-end: nothing can take another's place.
    """
    native = _AttentionBackendRegistry._backends[AttentionBackendName.NATIVE]
    calls, inside, untold = [], [], []

    def record_call(**kwargs):
        if inside and not untold:
            calls.append((kwargs["query"].shape[-1], kwargs["attn_mask"] is not None))
        return native(**kwargs)

    for block in roles.denoisers[0].blocks:
        block.register_forward_pre_hook(lambda *_: inside.append(True))
        block.register_forward_hook(lambda *_: inside.clear())
        for attention in (m for m in block.modules() if hasattr(m, "processor")):
            if not hasattr(attention.processor, "_attention_backend"):
                attention.register_forward_pre_hook(lambda *_: untold.append(True))
                attention.register_forward_hook(lambda *_: untold.clear())

    monkeypatch.setitem(
        _AttentionBackendRegistry._backends, AttentionBackendName.NATIVE, record_call
    )
    of_calls = []
    roles.denoisers[0].module.register_forward_hook(lambda *_: of_calls.append([*calls]))
    denoise(pipeline, workload, PLAIN)
    sites = roles.denoisers[0].attention_sites
    # Of the first call: later ones may be made with less attention, to be guided away from.
    assert of_calls[0] == [(site.head_dim, site.is_masked) for site in sites]
    for denoiser in roles.denoisers:
        by_kind = {
            "self": denoiser.self_attention,
            "cross": [s.module for s in denoiser.cross_attention],
        }
        for site in denoiser.attention_sites:
            known = [kind for kind, modules in by_kind.items() if site.module in modules]
            assert site.kind == "other" or known == [site.kind]


def test_denoisers_go_by_the_pipelines_names(pipeline, roles, name):
    for denoiser in roles.denoisers:
        assert getattr(pipeline, denoiser.name) is denoiser.module
    assert len(roles.denoisers) == (2 if name == "wan_experts" else 1)


@pytest.mark.parametrize("missing", ["transformer", "transformer_2"])
def test_an_expert_that_is_left_out_has_no_roles(missing):
    pipeline = build_tiny_experts()
    pipeline.register_modules(**{missing: None})
    (denoiser,) = describe_roles(pipeline).denoisers
    assert {denoiser.name, missing} == {"transformer", "transformer_2"}


def test_blocks_map_hidden_states_to_their_own_shape(pipeline, roles, workload):
    shapes = set()
    for denoiser in roles.denoisers:
        for block in denoiser.blocks:
            block.register_forward_hook(
                lambda _m, args, kwargs, out, form=denoiser.block_form: shapes.add(
                    form.read(args, kwargs).shape == form.read_answer(out).shape
                ),
                with_kwargs=True,
            )
    denoise(pipeline, workload, PLAIN)
    assert shapes == {True}


def test_a_call_can_be_answered_in_its_own_form(pipeline, roles, workload):
    """What is read from a denoiser's or a block's answer makes up the same answer."""
    n_checked = 0

    def check(form):
        def compare(_module, args, kwargs, out):
            nonlocal n_checked
            n_checked += 1
            y = form.read_answer(out)
            assert y.shape == form.read(args, kwargs).shape
            again = form.answer(y, args, kwargs, type_of(out))
            assert are_equal(tensors_in(plain(again)), tensors_in(plain(out)))

        return compare

    for denoiser in roles.denoisers:
        for module, form in (
            (denoiser.module, denoiser.form),
            *((block, denoiser.block_form) for block in denoiser.blocks),
        ):
            module.register_forward_hook(check(form), with_kwargs=True)
    denoise(pipeline, workload, PLAIN)
    assert n_checked >= 5 * workload.steps


def plain(answer):
    return tuple(answer.values()) if isinstance(answer, dict) else answer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_modulated_input_is_what_the_first_self_attention_sees(name, workload, dtype):
    # Not a clone: a cast would reach the tensors that clones share.
    pipeline = build(name)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.to(dtype)
    roles = describe_roles(pipeline)
    if Capability.MODULATED_INPUT not in roles.capabilities:
        pytest.skip("it has none, and says why")
    pairs = []
    for denoiser in roles.denoisers:
        predicted = []
        denoiser.blocks[0].register_forward_pre_hook(
            lambda _m, args, kwargs, predicted=predicted, role=denoiser.modulated_input: (
                predicted.append(role(args, kwargs))
            ),
            with_kwargs=True,
        )
        denoiser.self_attention[0].register_forward_pre_hook(
            lambda _m, args, kwargs, predicted=predicted: pairs.append(
                (predicted.pop(), args[0] if args else kwargs["hidden_states"])
            ),
            with_kwargs=True,
        )
    denoise(pipeline, workload, PLAIN)
    assert len(pairs) >= workload.steps
    assert all(torch.equal(predicted, seen) for predicted, seen in pairs)
    assert all(predicted.dtype == seen.dtype for predicted, seen in pairs)
    assert not torch.equal(pairs[0][1], pairs[-1][1])


def test_modulated_input_with_a_timestep_for_each_token():
    """Wan 2.2's small model passes (batch, tokens) timesteps."""
    pipeline = build_tiny("wan")
    pipeline.register_to_config(expand_timesteps=True)
    (denoiser,) = describe_roles(pipeline).denoisers
    predicted, seen = [], []
    denoiser.blocks[0].register_forward_pre_hook(
        lambda _m, args: predicted.append(denoiser.modulated_input(args, {}))
    )
    denoiser.self_attention[0].register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    denoise(pipeline, tiny_workload("wan"), PLAIN)
    assert are_equal(predicted, seen)


def test_from_an_image_the_first_frame_is_given():
    """In every call; and the modulated input has a row for each token."""
    pipeline = build_tiny_from_image()
    (denoiser,) = describe_roles(pipeline).denoisers
    given, predicted, seen = [], [], []
    for module, kept, role in (
        (denoiser.module, given, denoiser.given_tokens),
        (denoiser.blocks[0], predicted, denoiser.modulated_input),
    ):
        module.register_forward_pre_hook(
            lambda _m, args, kwargs, kept=kept, role=role: kept.append(role(args, kwargs)),
            with_kwargs=True,
        )
    denoiser.self_attention[0].register_forward_pre_hook(
        lambda _m, _a, kwargs: seen.append(kwargs["hidden_states"]), with_kwargs=True
    )
    workload = tiny_workload("ltx")
    call = {**get_family_of_class("LTXPipeline").call_arguments(workload), "prompt": PROMPT}
    with torch.no_grad():
        pipeline(image=Image.new("RGB", (32, 32)), output_type="latent", **call)
    expected = (torch.arange(48) < 16).expand(2, -1)
    assert len(given) == workload.steps
    assert all(torch.equal(each, expected) for each in given)
    assert are_equal(predicted, seen)


def test_where_no_token_has_noise_none_is_given():
    (denoiser,) = describe_roles(build_tiny_from_image()).denoisers
    is_given = denoiser.given_tokens((), {"timestep": torch.zeros(2, 48)})
    assert not is_given.any()


def test_a_pipeline_from_an_image_is_described_but_no_workload_calls_it(tmp_path):
    build_tiny_from_image().save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path), device="cpu")
    roles = describe_roles(loaded.pipeline)
    assert set(Capability) - roles.capabilities == set(roles.lacks)
    assert loaded.model.family == "ltx"
    for refuse in (
        lambda: default_workload(str(tmp_path)),
        lambda: render(loaded.pipeline, loaded.workload, PROMPT, 0),
    ):
        with pytest.raises(NotApplicableError, match="LTXImageToVideoPipeline needs an image"):
            refuse()


def test_text_parts_depend_on_the_text_alone(pipeline, roles, workload):
    """Equal at every step of one branch, different for another prompt."""
    n_branches = 2 if roles.guidance == "two_call" else 1
    parts = [
        part
        for denoiser in roles.denoisers
        for part in (
            *denoiser.prompt_projection,
            *(part for site in denoiser.cross_attention for part in site.text_only),
        )
    ]
    recorded = [record(part) for part in parts]
    denoise(pipeline, workload, PLAIN)
    firsts = [outputs[0] for outputs in recorded]
    for outputs in recorded:
        for branch in range(n_branches):
            assert all(are_equal(outputs[branch], each) for each in outputs[branch::n_branches])
        outputs.clear()
    denoise(pipeline, workload, OTHER)
    assert not any(
        are_equal(first, outputs[0]) for first, outputs in zip(firsts, recorded, strict=True)
    )


def test_modulation_depends_on_the_timestep_alone(pipeline, roles, workload):
    """Equal for another prompt and other noise, different from step to step."""
    for denoiser in roles.denoisers:
        recorded = [record(part) for part in denoiser.modulation]
        both = []
        for call in (PLAIN, OTHER):
            denoise(pipeline, workload, call)
            both.append([list(outputs) for outputs in recorded])
            for outputs in recorded:
                outputs.clear()
        for first, second in zip(*both, strict=True):
            assert all(are_equal(a, b) for a, b in zip(first, second, strict=True))
            assert not are_equal(first[0], first[-1])


def test_the_rotary_table_depends_on_the_shape_alone(pipeline, roles, workload):
    for denoiser in roles.denoisers if Capability.ROTARY_TABLE in roles.capabilities else ():
        tables = record(denoiser.rotary)
        denoise(pipeline, workload, PLAIN)
        denoise(pipeline, workload, OTHER)
        assert len(tables) >= 2
        of_shape = {table[0].shape: table for table in tables}
        assert all(are_equal(of_shape[table[0].shape], table) for table in tables)
        denoise(pipeline, workload, WIDE)
        assert tables[-1][0].shape != tables[0][0].shape


def test_guidance_is_what_the_roles_say(pipeline, roles, workload, name):
    batches = []
    for denoiser in roles.denoisers:
        denoiser.module.register_forward_hook(lambda _m, _a, out: batches.append(len(out[0])))
    denoise(pipeline, workload, PLAIN)
    branches = {**TINY, **VARIANTS, "wan_experts": TINY["wan"]}[name].branches
    assert roles.guidance == ("batched" if branches[0] == "both" else "two_call")
    assert batches == [2 if branch == "both" else 1 for branch in branches] * workload.steps


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_catalog_clips_fit_the_autoencoders(entry):
    """Latents of 8 pixels, in patches of 2; frames by 4, and one."""
    assert entry.workload.height % 16 == entry.workload.width % 16 == 0
    assert entry.workload.num_frames % 4 == 1
