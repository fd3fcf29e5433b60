"""What operations there are. Made by `./opstac docs` from the gateway's registry; changes by hand are lost."""
