"""What may be wrong with a machine, each thing looked at by itself and told with what to do.

findings.py     a line of the doctor's, and what must never be in one
environment.py  Python, packages, variables
database.py     the database: reachable, its version, extensions, migrations, clock
machine.py      the store, the disk, the port, the data folder
server.py       the platform that commands call, and the credential for it

A check changes nothing that stays, and raises nothing: what it did not foresee is a finding too.
"""
