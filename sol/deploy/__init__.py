"""Deployment: recipes on stock diffusers pipelines."""

from sol.deploy.applying import apply, load_pipeline
from sol.deploy.mismatch import CHECKS
from sol.deploy.place import LOCAL, Place, settle_target
from sol.deploy.stack import parse_stack, stack_of

__all__ = [
    "CHECKS",
    "LOCAL",
    "Place",
    "apply",
    "load_pipeline",
    "parse_stack",
    "settle_target",
    "stack_of",
]
