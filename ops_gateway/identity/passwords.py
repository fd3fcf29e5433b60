"""What a new password must be (NIST SP 800-63B); how one is kept is `kernel/passwords.py`."""

from __future__ import annotations

SHORTEST = 10
LONGEST = 256


def fault(password: str, *, email: str | None = None) -> str | None:
    """What is wrong with a new password, in words; None for a good one."""
    if len(password) < SHORTEST:
        return f"the password must have at least {SHORTEST} characters"
    if len(password) > LONGEST:
        return f"the password must have at most {LONGEST} characters"
    plain = password.casefold()
    if len(set(plain)) < 4 or plain in ("1234567890", "0123456789", "passwordpassword"):
        return "the password is too easy to guess"
    if email and plain in (email.casefold(), email.casefold().partition("@")[0]):
        return "the password must not be the e-mail address"
    return None
