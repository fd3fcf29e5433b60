"""The outside parties: a module each, behind functions that the composition hands in."""
