"""Each operation of these domains gives the same answer and the same refusal by every door."""

from __future__ import annotations

from walk.walks import walk_through

test_the_answer, test_the_refusal = walk_through("money")
