"""What the commands that call a platform have in common.

known.py        the operations: of the table that comes with us, or as a server publishes them
tree.py         what a line of words means: an operation, a group of them, a command of ours
flags.py        the flags of one operation, from its schema
words.py        text and JSON of a command line, checked before anything is called
call.py         one operation: flags in, answer out
answers.py      an answer as table, JSON, JSON lines or file
tables.py       the tables
server.py       the platform and the credential of it; failures in words and statuses
credentials.py  what `opstac login` keeps
sign_in.py      the device flow, refreshing, signing out
following.py    a job until it ends
completion.py   what a shell may complete
session.py      the credential at each request of a client that lives long
status.py       the exit statuses

Light to import, all of it: httpx is loaded when a server is called.
"""
