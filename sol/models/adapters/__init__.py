"""One file a family of models: the roles of its pipelines; and what those have in common."""
