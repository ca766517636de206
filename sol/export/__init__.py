"""Recipes in the formats of others: what these can express, and what they cannot, with reasons."""
