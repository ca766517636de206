"""Applying stacks to pipelines, and running them."""
