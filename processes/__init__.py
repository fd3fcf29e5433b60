"""Pixels to data: the process catalogue, its jobs, and their bounded execution."""
