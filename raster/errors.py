"""What can be wrong with a raster file, said once for reader, inspection and COG writer."""


class RasterError(Exception):
    """A raster file that is not used; `code` is stable, the message is for people.

    Codes: `not_found`, `not_a_geotiff`, `truncated`, `too_large`, `too_many_pixels`,
    `too_many_bands`, `block_too_large`, `tags_too_large`, `unsupported`, `unreadable`,
    `not_georeferenced`, `no_overlap`, `grid_mismatch`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class InspectError(RasterError):
    """A file that inspection refuses."""
