"""What is here: `sol inspect`, `sol probe`, `sol models`, `sol skills`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sol.cli.app import app, reporting
from sol.cli.loading_options import AllowPickle, OffloadName, Revision
from sol.cli.options import Device, DtypeName, Json, ModelName
from sol.terminal import print_error, print_json, print_line, print_table

_GIB = 1024**3


@app.command("inspect")
@reporting
def inspect_command(
    model: ModelName,
    device: Device = None,
    dtype: DtypeName = None,
    revision: Revision = None,
    offload: OffloadName = None,
    allow_pickle: AllowPickle = False,
    json_output: Json = False,
) -> None:
    """Say which techniques apply to a model here, and why others do not."""
    from sol.commands.inspect import inspect_model

    found = inspect_model(model, device, dtype, revision, offload, allow_pickle)
    if json_output:
        print_json(found)
        return
    for warning in found["warnings"]:
        print_error(f"Warning: {warning}.")
    for line in _lines_of(found):
        print_line(line)
    rows = [
        (str(r["name"]), str(r["skill"]), "yes" if r["applies"] else "no", str(r["reason"]))
        for r in found["techniques"]
    ]
    print_table(("technique", "skill", "applies", "reason"), rows)


def _lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{found['model']}: family {found['family']}, revision {found['revision']}, guidance "
        f"{found['guidance']}"
    )
    memory = found["memory"]
    shares = ", ".join(f"{name} {n / _GIB:.2f}" for name, n in memory["weights"].items())
    yield f"weights: {memory['weights_bytes'] / _GIB:.2f} GiB in {memory['dtype']} ({shares})"
    offloading = "" if memory["offload"] is None else f" with --offload {memory['offload']}"
    yield (
        f"memory: about {memory['device_bytes'] / _GIB:.2f} GiB on the device{offloading}, "
        f"{memory['assumed_head_room']:.0%} of the weights assumed for a video"
    )
    for name, n_blocks in found["denoisers"].items():
        yield f"{name}: {n_blocks} blocks"
    for group in found["attention"]:
        yield f"{group['denoiser']}: {group['n']} {group['kind']}-attentions, {group['reason']}"


@app.command()
@reporting
def probe(device: Device = None, json_output: Json = False) -> None:
    """Show the machine as a recipe would record it."""
    from dataclasses import asdict

    from sol.measure.hardware import probe as probe_hardware
    from sol.measure.hardware import versions

    data = {"hardware": asdict(probe_hardware(device)), "versions": versions()}
    if json_output:
        print_json(data)
        return
    for section in data.values():
        for key, value in section.items():
            print_line(f"{key}: {value}")


@app.command()
@reporting
def models(json_output: Json = False) -> None:
    """List the models with short names."""
    from sol.models.catalog import CATALOG, NOT_LOADABLE

    known = [
        {
            "name": e.name,
            "summary": e.summary,
            "family": e.family,
            "source": e.source,
            "reason": "",
        }
        for e in CATALOG.values()
    ]
    # A Hub id says the same of the same model.
    refused = [
        {"name": name, "summary": f"cannot be loaded: {reason}", "reason": reason}
        for name, reason in NOT_LOADABLE.items()
        if "/" not in name
    ]
    if json_output:
        print_json([*known, *refused])
        return
    print_table(("model", "what"), [(row["name"], row["summary"]) for row in (*known, *refused)])


@app.command()
@reporting
def skills(json_output: Json = False) -> None:
    """List the skills and their techniques."""
    from sol.skills.registry import TECHNIQUES

    rows = [(t.skill, t.name, str(t.exactness), t.summary) for t in TECHNIQUES.values()]
    titles = ("skill", "technique", "exactness", "what")
    if json_output:
        print_json([dict(zip(titles, row, strict=True)) for row in rows])
        return
    print_table(titles, rows)
