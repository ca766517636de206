"""The judge of the pocket model: reads a clip back into the attributes its prompt can name.

Analytic, without weights: vivid blobs by colour, shapes by templates, motion by tracks.
"""
