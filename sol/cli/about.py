"""What is here: `sol inspect`, `sol probe`, `sol models`, `sol skills`."""

from __future__ import annotations

from sol.cli.app import app, reporting
from sol.cli.options import Device, DtypeName, Json, ModelName
from sol.terminal import print_json, print_line, print_table


@app.command("inspect")
@reporting
def inspect_command(
    model: ModelName, device: Device = None, dtype: DtypeName = None, json_output: Json = False
) -> None:
    """Say which techniques apply to a model here, and why others do not."""
    from sol.commands.inspect import inspect_model

    found = inspect_model(model, device, dtype)
    if json_output:
        print_json(found)
        return
    print_line(f"{found['model']}: family {found['family']}, guidance {found['guidance']}")
    for group in found["attention"]:
        print_line(
            f"{group['denoiser']}: {group['n']} {group['kind']}-attentions, {group['reason']}"
        )
    rows = [
        (str(r["name"]), str(r["skill"]), "yes" if r["applies"] else "no", str(r["reason"]))
        for r in found["techniques"]
    ]
    print_table(("technique", "skill", "applies", "reason"), rows)


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
    from sol.models.catalog import CATALOG

    if json_output:
        print_json([{"name": e.name, "summary": e.summary} for e in CATALOG.values()])
        return
    print_table(("model", "what"), [(e.name, e.summary) for e in CATALOG.values()])


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
