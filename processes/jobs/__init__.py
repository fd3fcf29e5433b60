"""The processes, one file each; `processes.process.discover` imports them all."""
