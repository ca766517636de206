"""Which of the models that a recipe names may be opened because the recipe says so.

A recipe may come from a stranger, so its model is a short name from the catalog or a Hub id. A
folder is opened only where the user names it: what a recipe says is no path on this machine.
"""

from __future__ import annotations

import re
from pathlib import Path

from sol.errors import ModelLoadError
from sol.models.catalog import find_entry
from sol.target import Model

# Neither part may begin with a dot: "../secret" looks like a Hub id otherwise.
_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)*", re.ASCII)


def check_recipe_model(model: Model) -> None:
    """Refuses to open what a recipe names, unless it is a known model or one of the Hub's.

    Not to be called where the user says where the model is.

    Raises:
        ModelLoadError: A folder, a path, or what is neither a short name nor a Hub id.
    """
    if find_entry(model.id) is not None:
        return
    is_on_hub = _HUB_ID.fullmatch(model.id) and _REVISION.fullmatch(model.revision)
    if not is_on_hub or Path(model.id).exists():
        raise ModelLoadError(
            f"target.model: the recipe names {model.id[:200]!r} at {model.revision[:80]!r}, which "
            "is no short name and no Hub id: folders that a recipe names are not opened. Say "
            "where the model is: --model FOLDER."
        )
