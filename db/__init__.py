"""State: where things are kept. Imports nothing else of the project."""
