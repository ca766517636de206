"""Whose word a recipe has: the gate's, and where it is asked for, a person's."""

from __future__ import annotations

import logging
from typing import Literal, get_args

from sol.errors import SolError, UnknownNameError
from sol.recipe import Recipe
from sol.starting_point import StartingPoint

Consent = Literal["gate", "approved"]
_LOG = logging.getLogger("sol")


class NoConsentError(SolError):
    """Settings that nobody accepted, or not the one who was asked for."""


def parse_consent(name: str) -> Consent:
    """Raises UnknownNameError for what is neither "gate" nor "approved"."""
    known: dict[str, Consent] = {consent: consent for consent in get_args(Consent)}
    if name not in known:
        raise UnknownNameError("value of require", name, known)
    return known[name]


def refuse_starting_point(recipe: object) -> None:
    """Raises NoConsentError for published settings that nobody has measured here."""
    if isinstance(recipe, StartingPoint):
        raise NoConsentError(
            f"A starting point ({recipe.source}) was accepted by no gate. `sol tune` tries it and "
            "writes a recipe of what passes; for experiments apply its bare stack."
        )


def check_consent(recipe: Recipe, require: Consent) -> None:
    """On demand, refuses what no person approved.

    The gate's word needs no look: a recipe is written where the gate accepts a stack, and its
    digest binds it to that. A person's rejection is said in the log where the gate is enough.

    Raises:
        NoConsentError: Not approved, or rejected.
    """
    approval = recipe.approval
    if require == "approved" and approval.status != "approved":
        by = f" by {approval.reviewer}" if approval.reviewer else ""
        raise NoConsentError(
            f"approval.status: the recipe of run {recipe.provenance.run_id} is "
            f"{approval.status}{by}, require='approved' asks for a person's approval. Look at its "
            "videos with `sol review`, then say `sol approve`; or pass require='gate'."
        )
    if approval.status == "rejected":
        _LOG.warning(
            "The recipe of run %s was rejected by %s: %s",
            recipe.provenance.run_id,
            approval.reviewer,
            approval.note,
        )
