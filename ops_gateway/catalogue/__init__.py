"""The catalogue's rows: items, assets, profiles and collections, and their STAC documents."""
