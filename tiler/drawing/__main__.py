"""`python -m tiler.drawing ADDRESS OPTIONS`: draw for the server that listens at the address."""

import sys

from tiler.drawing.process import main

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
