"""The stages of a decomposition, which measure the effect of a split's schedule without its separation of weights.

A sham has the arm's tree, seeds, warm-up and lengths, but every node trains on the whole space. It anneals over its own
length, as the arm's leaves do, so it is no truncated ``none``. Leaves of equal length are one training, found by its
hash. Nothing of it is charged: it is measurement.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from splitbench.harness.budget import Allowance, Cost
from splitbench.harness.runs.tree import Node
from splitbench.harness.stages.base import Result
from splitbench.harness.stages.context import WeightsPlace
from splitbench.harness.stages.decompose import Decomposed
from splitbench.harness.stages.predict import Predicted
from splitbench.harness.study.arm import Arm

if TYPE_CHECKING:
    from splitbench.harness.runs.protocol import Asks, Run


def undefined(arm: Arm) -> str | None:
    """Why an arm's difference to no split cannot be decomposed; None if it can."""
    if not arm.splits:
        return "it does not split"
    if arm.shares_weights:
        return "its leaves share one supernet"
    if arm.joint:
        return "its leaves are trained together"
    if arm.schedule.keep == "best":
        return "it gives leaves up"
    return None


def unsplit_arm(arm: Arm) -> Arm:
    """The same trainer with the study's own schedule, and no split: what the arm ``none`` does."""
    return dataclasses.replace(
        arm, label=f"{arm.label} unsplit", splits=False, schedule=arm.common, burn=0.0, decompose=False, draws=1
    )


class Shams:
    """Asks for the shams of a run, after its leaves have been trained.

    Args:
        run: whose leaves have been trained.
        spent: what the training of each node cost, by its path.
        windows: of the learning-rate schedule in that training, by path.
        lengthening: how much longer the leaves would have been trained, were scoring free.
    """

    def __init__(
        self, run: Run, spent: Mapping[str, Cost], windows: Mapping[str, tuple[float, float]], lengthening: float
    ) -> None:
        self.run, self.spent, self.windows, self.lengthening = run, spent, windows, lengthening

    def stages(self, tree: Node, leaves: list[Node], predicted: list[Result[Predicted]]) -> Asks[Result[Decomposed]]:
        """The generator of all stages of the decomposition."""
        from splitbench.harness.runs.protocol import Run

        run = self.run
        whole = Run(run.settings, unsplit_arm(run.arm), run.seeds, 0)
        root, frontier = yield from whole.split()
        yield from whole.train_leaves(root, frontier)
        run.adopt(whole)
        (none,) = yield from run.ask(None, [whole.request.predict([root], 0)])
        keys: list[tuple[str, ...]] = []
        for lengthening in (self.lengthening, 1.0):
            states = yield from self.trained(tree, lengthening)
            shams = [Node(leaf.subspace, leaf.path, states[leaf.path]) for leaf in leaves]
            results = yield from run.ask(None, [run.request.predict(shams, index) for index in range(len(shams))])
            keys.append(tuple(result.key for result in results))
        free, charged = keys
        arm = tuple(result.key for result in predicted)
        (result,) = yield from run.ask(None, [run.request.decompose(none.key, free, charged, arm)])
        return result

    def trained(self, tree: Node, lengthening: float) -> Asks[Mapping[str, WeightsPlace | None]]:
        """The sham of each node, by its path: level by level, since children go on from their parents."""
        run, fresh = self.run, self.run.arm.schedule.weights == "restart"
        states: dict[str, WeightsPlace | None] = {tree.path: None if fresh else tree.state}
        level = tree.children
        while level:
            work: list[tuple[Node, Any]] = []
            for node in level:
                last = not node.children
                parent = states[node.path.rpartition(".")[0]]
                states[node.path] = parent
                steps = self.spent.get(node.path, Cost()).steps
                if steps and (last or not fresh):
                    length = round(steps * lengthening) if last else steps
                    root = Node(run.settings.space.root(), node.path, None if fresh else parent)
                    member = root, Allowance("steps", float(length)), ()
                    work.append((node, run.request.train([member], self.windows[node.path], sham=True)))
            results = yield from run.ask(None, [stage for _, stage in work])
            for (node, stage), _ in zip(work, results, strict=True):
                states[node.path] = WeightsPlace(stage.key, 0)
            level = [child for node in level for child in node.children]
        return states
