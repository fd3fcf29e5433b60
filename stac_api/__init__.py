"""STAC: stac-fastapi-pgstac with this platform's tenancy, writers and search."""

import logging

# the library warns at import that it was given no title; app.py gives it one
logging.getLogger("stac_fastapi.types.config").setLevel(logging.ERROR)
