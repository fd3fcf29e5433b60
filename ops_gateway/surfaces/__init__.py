"""The registry and the platform's state as protocols: HTTP, OpenAPI, health, storage, pages."""
