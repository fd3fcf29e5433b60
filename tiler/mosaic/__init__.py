"""Mosaics: many items of a collection or a search drawn as one layer.

`source` is what the composition hands in: which items lie where, and their assets. `layer` decides
once how all of them are drawn, `composite` puts their pixels together, `draw` runs it for a tile.
"""
