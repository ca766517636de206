"""The stages of a tuning run, in the order in which `sol.tune` calls them."""
