"""The name that the guides print; see the README in `clients/shim`."""

from opstac import Geopera

__all__ = ["Geopera"]
