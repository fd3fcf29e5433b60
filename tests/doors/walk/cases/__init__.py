"""A file a group of domains."""
