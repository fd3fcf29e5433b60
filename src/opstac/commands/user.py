"""Make a person's account, or change it.

With --password the password is asked for, or read from standard input where that is no terminal.
A new password signs the person out everywhere.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("email", metavar="EMAIL", help="the address that the person signs in with")
    parser.add_argument("--name", help="what the person is called")
    parser.add_argument("--password", action="store_true", help="give a new password")
    state = parser.add_mutually_exclusive_group()
    state.add_argument("--disable", action="store_true", help="close the account")
    state.add_argument("--enable", action="store_true", help="open a closed account again")


def run(args: argparse.Namespace) -> int:
    """Make or change, and print the person's id."""
    from ops_gateway.identity import passwords
    from opstac import database, people, settings
    from opstac.cli import CommandError

    email = args.email.strip().casefold()
    if "@" not in email:
        raise CommandError(f"'{args.email}' is no e-mail address")
    found = database.find(start=False)
    configuration = settings.read(dsn=found.dsn, home=found.home)
    if args.disable or args.enable:
        if not people.disable(configuration, email, disabled=args.disable):
            raise CommandError(f"there is no account with the address {email}")
        print(f"{email}: {'closed' if args.disable else 'open'}")
        return 0
    password = read_password() if args.password else None
    if password is not None and (wrong := passwords.fault(password, email=email)):
        raise CommandError(wrong)
    user = people.make_user(configuration, args.name, email)
    if password is not None:
        people.set_password(configuration, user, password)
    print(user)
    return 0


def read_password() -> str:
    """A password from the terminal, or the first line of standard input."""
    import getpass
    import sys

    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\r\n")
