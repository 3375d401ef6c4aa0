"""All that cannot be built of a network, not only the first: each node that is refused is noted, and the walk goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import onnx

from pipeline.errors import ModelError, Obstacle, UnsupportedError

__all__ = ["Obstacles"]

_SHOWN = 10  # rows of the table in a message

Result = TypeVar("Result")


class Obstacles:
    """The nodes that were refused so far.

    What a refused node gives is `unknown`, and so is what is calculated from that: nobody is blamed for it.
    """

    def __init__(self) -> None:
        self._refused: dict[str, Obstacle] = {}  # by the first tensor that the node gives
        self.unknown: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._refused)

    def attempt(self, node: onnx.NodeProto, visit: Callable[[], Result]) -> Result | None:
        """What `visit` gives; None where that refuses `node`, which is noted.

        A ModelError is raised on, as a damaged file has nothing more to say; after a node was refused it is taken for a
        consequence of that.
        """
        try:
            return visit()
        except UnsupportedError as error:
            self.add(node, error)
        except ModelError:
            if not self:
                raise
            self.unknown.update(node.output)
        return None

    def add(self, node: onnx.NodeProto, error: UnsupportedError) -> None:
        """Note that `node` is refused, unless it was before."""
        name = _first_output(node)
        self._refused.setdefault(name, Obstacle(node.name or name, node.op_type, str(error)))
        self.unknown.update(node.output)

    def refuses(self, node: onnx.NodeProto) -> bool:
        return _first_output(node) in self._refused

    def reads_unknown(self, node: onnx.NodeProto) -> bool:
        return not self.unknown.isdisjoint(node.input)

    def error(
        self, where: str, order: Iterable[onnx.NodeProto], besides: Sequence[UnsupportedError] = ()
    ) -> UnsupportedError:
        """The error that says all, in the `order` of the graph's nodes; `besides` is what is wrong with the whole of it."""
        places = {name: index for index, node in enumerate(order) for name in node.output}
        names = sorted(self._refused, key=lambda name: places.get(name, -1))
        obstacles = [*(self._refused[name] for name in names), *(Obstacle("", "", str(error)) for error in besides)]
        if len(obstacles) == 1:
            return UnsupportedError(f"{where}: {obstacles[0].message}", obstacles)
        return UnsupportedError(f"{where}: {_table(obstacles)}", obstacles)


def _first_output(node: onnx.NodeProto) -> str:
    return next((name for name in node.output if name), "")


def _table(obstacles: Sequence[Obstacle]) -> str:
    """The first few nodes with what is wrong with each, and what to do, each once."""
    shown = obstacles[:_SHOWN]
    rows = [("node", "operator", "reason"), *((o.node or "-", o.operator or "-", o.reason) for o in shown)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"  {name:<{widths[0]}}  {operator:<{widths[1]}}  {reason}" for name, operator, reason in rows]
    if len(obstacles) > _SHOWN:
        lines.append(f"  and {len(obstacles) - _SHOWN} more")
    remedies: dict[str, str] = {}
    for obstacle in shown:
        if obstacle.remedy:
            remedies.setdefault(obstacle.remedy[:1].upper() + obstacle.remedy[1:], obstacle.node or "-")
    lines += [f"{name}: {remedy}" for remedy, name in remedies.items()]
    return "\n".join([f"{len(obstacles)} things stand in the way.", *lines])
