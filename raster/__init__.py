"""Pixels: what the tile server and the processes share. Imports nothing of ours and nothing heavy."""
