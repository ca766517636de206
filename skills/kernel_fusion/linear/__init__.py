"""Better matrix products for the linear layers as they are."""
