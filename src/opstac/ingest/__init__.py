"""`opstac ingest`: from files and other catalogues to items, resumable.

sources    what is brought in, as batches with a place to go on from
documents  STAC items of local files: lines, a FeatureCollection, one Feature
catalogue  STAC items of another STAC API
rasters    GeoTIFFs of a folder, or of a list of paths and addresses
target     the platform they are brought to: retries, batches in parallel
state      where the run stands, kept on disk
progress   what the person at the terminal sees
"""
