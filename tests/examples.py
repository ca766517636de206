"""Prompts that several tests share."""

PROMPT = "a large red circle moves right on a dark blue background"
OTHER_PROMPT = "a small green square moves up on a light gray background"
