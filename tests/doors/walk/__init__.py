"""Every operation with a body that succeeds, and the doors it is called through."""
