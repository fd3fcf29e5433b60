"""STAC: stac-fastapi-pgstac with this platform's tenancy, writers and search."""
