"""What a model needs of a device's memory, what there is, and offloading."""
