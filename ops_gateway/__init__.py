"""The product: typed operations, the kernel they pass, and the surfaces that project them."""
