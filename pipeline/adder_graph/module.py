"""An adder graph as a SystemVerilog module, with a register after every adder or every few, and as C++ without.

A node is a wire of the bits that its own interval takes: two's complement where it can be negative, else unsigned. Sums
modulo a power of two hold every value of the interval, whatever their operands are extended to. Where the second operand
is shifted, the low bits are those of the first and are not added.

The registers. A node belongs to the stage in which it is computed; a value that a later stage reads passes a register
for every stage between. All results leave after the last stage, so each of them has as many registers as there are
stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.adder_graph.graph import ZERO, AdderGraph
from pipeline.adder_graph.schedule import stage_count, stages_of_fewest_registers
from pipeline.dataflow.layer import Generated
from pipeline.dataflow.types import IntType

__all__ = ["AdderGraphModule"]


@dataclass(frozen=True, eq=False)
class AdderGraphModule:
    """`graph` for elements of the type `element`, with at most `adders_per_stage` adders between two registers.

    The module takes `inputs_i`, the elements, and gives `results_o`, one field of `result_bits` for each result, two's
    complement, `latency` cycles later.
    """

    graph: AdderGraph
    element: IntType
    adders_per_stage: int = 1

    @cached_property
    def types(self) -> tuple[IntType, ...]:
        """The interval of each node."""
        return tuple(IntType(int(lo), int(hi)) for lo, hi in zip(*self.graph.ranges(self.element), strict=True))

    @cached_property
    def stages(self) -> np.ndarray:
        """The register stage that each node is before: int64 of (nodes,)."""
        bits = np.array([type_.bits for type_ in self.types])
        return stages_of_fewest_registers(self.graph, bits, self.adders_per_stage)

    @cached_property
    def latency(self) -> int:
        """Registers on the way of every result, at least 1."""
        return stage_count(self.graph, self.adders_per_stage)

    @property
    def result_types(self) -> tuple[IntType, ...]:
        """The interval of each result."""
        types = []
        for node, shift, sign in self.graph.results.tolist():
            types.append(IntType(0, 0) if node == ZERO else self.types[node].scaled(sign << shift))
        return tuple(types)

    @property
    def result_bits(self) -> int:
        """The bits, two's complement, that hold every result."""
        return max(IntType(min(type_.lo, -1), max(type_.hi, 0)).bits for type_ in self.result_types)

    @property
    def register_bits(self) -> int:
        """Flip-flops of all registers."""
        return sum(self.types[node].bits * count for node, count in enumerate(self._registers().tolist()))

    def rtl(self, name: str) -> Generated:
        """The module `name` in SystemVerilog."""
        registers = self._registers().tolist()
        stages = []
        for stage in range(self.latency):
            wires = [
                self._wire(node)
                for node in np.flatnonzero(self.graph.used() & (self.stages == stage)).tolist()
                if node >= self.graph.inputs
            ]
            moved = [
                {"bits": self.types[node].bits, "to": _name(node, k + 1), "from": _name(node, k)}
                for node, count in enumerate(registers)
                if (k := stage - int(self.stages[node])) >= 0 and k < count
            ]
            stages.append({"wires": wires, "registers": moved})
        used = self.graph.used()[: self.graph.inputs]
        return Generated.of(
            "adder_graph.sv.jinja",
            name=name,
            module=self,
            bits=self.element.bits,
            inputs=[(_name(int(column), 0), int(column)) for column in np.flatnonzero(used)],
            unused=np.flatnonzero(~used).tolist(),
            stages=stages,
            results=[self._result(*row) for row in self.graph.results.tolist()],
        )

    def hls(self, name: str) -> Generated:
        """The header of the structure `name`, for hw/hls/unrolled_mvau.hpp. Where registers are, Vitis HLS decides."""
        used = np.flatnonzero(self.graph.used()).tolist()
        return Generated.of(
            "adder_graph.hpp.jinja",
            name=name,
            module=self,
            bits=self.element.bits,
            signed=self.element.signed,
            inputs=[node for node in used if node < self.graph.inputs],
            nodes=[self._hls_node(node) for node in used if node >= self.graph.inputs],
            results=[self._hls_result(*row) for row in self.graph.results.tolist()],
        )

    def _hls_node(self, node: int) -> str:
        a, p, b, q, sign = self.graph.adders[node - self.graph.inputs].tolist()
        type_ = self.types[node]
        adder = "plus" if sign > 0 else "minus"
        return f"n{node} = {adder}<Numbers, {type_.bits}, {str(type_.signed).lower()}>(n{a}, {p}, n{b}, {q})"

    def _hls_result(self, node: int, shift: int, sign: int) -> str:
        if node == ZERO:
            return "0"
        return f"{'' if sign > 0 else '-'}extended<ResultWidth>(n{node}, {shift})"

    def _registers(self) -> np.ndarray:
        """How many registers each node's value passes."""
        graph, last = self.graph, self.latency
        registers = np.zeros(graph.nodes, np.int64)
        used = graph.used()
        for node, (a, _, b, _, _) in enumerate(graph.adders.tolist(), graph.inputs):
            if used[node]:
                for operand in (a, b):
                    registers[operand] = max(registers[operand], self.stages[node] - self.stages[operand])
        for node, _, _ in graph.results.tolist():
            if node != ZERO:
                registers[node] = last - self.stages[node]
        return registers

    def _wire(self, node: int) -> dict[str, object]:
        """The declaration of an adder's node."""
        a, p, b, q, sign = self.graph.adders[node - self.graph.inputs].tolist()
        bits = self.types[node].bits
        stage = int(self.stages[node])
        one, other = (_name(operand, stage - int(self.stages[operand])) for operand in (a, b))
        operator = "+" if sign > 0 else "-"
        if not q or q >= bits:
            value = f"{self._extended(a, one, bits, p)} {operator} {self._extended(b, other, bits, q)}"
            return {"name": _name(node, 0), "bits": bits, "value": value}
        assert p == 0
        high = f"{self._extended(a, one, bits - q, -q)} {operator} {self._extended(b, other, bits - q, 0)}"
        return {"name": _name(node, 0), "bits": bits, "value": f"{{{high}, {self._extended(a, one, q, 0)}}}"}

    def _extended(self, node: int, name: str, bits: int, shift: int) -> str:
        """A node in `bits` bits, shifted left, or right if `shift` is negative; each bit is said, none left to a cast."""
        type_ = self.types[node]
        zeros = min(max(shift, 0), bits)  # below it
        lowest = min(max(-shift, 0), type_.bits)
        highest = min(type_.bits, lowest + bits - zeros)
        beyond = bits - zeros - (highest - lowest)  # above it
        parts = []
        if beyond:
            parts.append(f"{{{beyond}{{{name}[{type_.bits - 1}]}}}}" if type_.signed else f"{beyond}'d0")
        if highest - lowest == type_.bits:
            parts.append(name)
        elif highest > lowest:
            parts.append(f"{name}[{highest - 1}:{lowest}]")
        if zeros:
            parts.append(f"{zeros}'d0")
        return parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"

    def _result(self, node: int, shift: int, sign: int) -> str:
        bits = self.result_bits
        if node == ZERO:
            return f"{bits}'d0"
        value = self._extended(node, _name(node, self.latency - int(self.stages[node])), bits, shift)
        return value if sign > 0 else f"-{value}"


def _name(node: int, registers: int) -> str:
    return f"n{node}_q{registers}" if registers else f"n{node}"
