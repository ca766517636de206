"""Lower-precision arithmetic in linear layers."""
