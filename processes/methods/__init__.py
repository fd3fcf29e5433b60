"""Analytics methods, one a file; see `processes.method`."""
