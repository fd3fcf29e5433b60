"""Each operation of these domains through every door."""

from __future__ import annotations

from walk.steps import refuse, walk
from walk.walks import operations


@operations("processing")
def test_the_answer_is_the_same_by_every_door(world, recording, op_id):
    differences = walk(world, op_id, recording=recording)
    assert not differences, "\n".join(differences)


@operations("processing")
def test_the_refusal_is_the_same_by_every_door(world, op_id):
    differences = refuse(world, op_id)
    assert not differences, "\n".join(differences)
