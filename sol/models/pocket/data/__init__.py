"""The pocket model's data: scenes as attributes, their captions, and their clips."""
