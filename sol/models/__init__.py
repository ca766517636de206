"""Model families: the only place that knows them."""
