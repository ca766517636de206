"""What the embedded backend computes of a video, or of a pair, without any downloaded weights."""
