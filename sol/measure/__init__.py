"""Numbers with their unit, sample count, spread and device: time, memory, fidelity, hardware."""
