"""Benchmark of pb-sumtree: a replay buffer of 131,072 transitions, in the batches of a few learner steps."""

from tutor.worker.case import Case

CAPACITY, UPDATES, DRAWS = 1 << 17, 20_000, 20_000


class PythonTree:
    """The tree of most Python replay buffers: one list, one item a call."""

    def __init__(self, capacity):
        self.first_leaf = 1
        while self.first_leaf < capacity:
            self.first_leaf *= 2
        self.nodes = [0.0] * (2 * self.first_leaf)

    def update(self, indices, priorities):
        nodes, first_leaf = self.nodes, self.first_leaf
        for index, priority in zip(indices.tolist(), priorities.tolist(), strict=True):
            node = index + first_leaf
            nodes[node] = priority
            node //= 2
            while node:
                nodes[node] = nodes[2 * node] + nodes[2 * node + 1]
                node //= 2

    def find(self, masses):
        nodes, first_leaf, found = self.nodes, self.first_leaf, []
        for mass in masses.tolist():
            node = 1
            while node < first_leaf:
                node *= 2
                if mass >= nodes[node] and nodes[node + 1] > 0:
                    mass -= nodes[node]
                    node += 1
            found.append(node - first_leaf)
        return found


def filled(tree, priorities):
    """The tree with a priority in every leaf."""
    import numpy as np

    tree.update(np.arange(CAPACITY), priorities)
    return tree


def changes(rng):
    """Whole-numbered priorities, so that both sides add exactly."""
    priorities = rng.integers(1, 1000, CAPACITY).astype(float)
    return priorities, rng.integers(0, CAPACITY, UPDATES), rng.integers(0, 1000, UPDATES).astype(float)


def masses(rng):
    priorities = rng.integers(1, 1000, CAPACITY).astype(float)
    return priorities, rng.random(DRAWS) * priorities.sum() * (1 - 1e-12)


def same_total(inputs, got, want):
    assert got == want, f"total after the update: got {got}, want {want}"


def same_indices(inputs, got, want):
    import numpy as np

    wrong = np.flatnonzero(np.asarray(got) != np.asarray(want))
    assert not wrong.size, f"mass {inputs[1][wrong[0]]}: got {got[wrong[0]]}, want {want[wrong[0]]}"


def update(tree, indices, priorities):
    tree.update(indices, priorities)
    return tree.total if hasattr(tree, "total") else tree.nodes[1]


CASES = {
    "update-20k": Case(
        make=changes,
        prepare=lambda built, inputs: (filled(built.SumTree(CAPACITY), inputs[0]), *inputs[1:]),
        learner=lambda built, tree, indices, priorities: update(tree, indices, priorities),
        prepare_baseline=lambda inputs: (filled(PythonTree(CAPACITY), inputs[0]), *inputs[1:]),
        baseline=update,
        verify=same_total,
    ),
    "find-20k": Case(
        make=masses,
        prepare=lambda built, inputs: (filled(built.SumTree(CAPACITY), inputs[0]), inputs[1]),
        learner=lambda built, tree, masses: tree.find(masses),
        prepare_baseline=lambda inputs: (filled(PythonTree(CAPACITY), inputs[0]), inputs[1]),
        baseline=lambda tree, masses: tree.find(masses),
        verify=same_indices,
    ),
}
