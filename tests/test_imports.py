"""What importing costs, measured in fresh processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

SEARCH_ONLY = ("ray", "optuna", "vbench", "playwright")


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(m.split('.')[0] for m in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=120
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import sol",
        "import sol; sol.load_recipe",
        "import sol; sol.load_pipeline, sol.apply",
        "import sol.commands.generate",
    ],
)
def test_deployment_needs_no_search_dependencies(code):
    assert not loaded_after(code) & set(SEARCH_ONLY)


@pytest.mark.parametrize(
    "code", ["import sol", "import sol; sol.load_recipe", "import sol.search.agent",
             "import sol.cli", "import sol.skills.policies"],
)  # fmt: skip
def test_reading_deciding_and_asking_for_help_import_no_torch(code):
    assert "torch" not in loaded_after(code)


def test_unknown_attributes_are_attribute_errors():
    import sol

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sol.nothing
