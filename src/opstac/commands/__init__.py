"""One module a command of the command line.

Each has `add_arguments(parser)`, which imports nothing heavy, since `--help` runs it for every
command, and `run(args) -> int | None`, which imports what the command needs and gives the exit
status. The first line of the module's docstring is the command's line in `--help`.
"""
