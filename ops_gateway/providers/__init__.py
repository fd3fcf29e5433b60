"""Outside parties, each behind a Protocol."""
