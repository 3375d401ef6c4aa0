"""How many LUTs each accumulator policy takes beside the others, with all else the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.compare.record import PointRecord
from pipeline.report.markdown import number

__all__ = ["NO_RATIOS", "REFERENCES", "Group", "describe_ratios", "group_by_policy", "policy_label", "rate_label"]

REFERENCES = ("fixed:32", "datatype")
"""The policies that others are compared with: accumulators of a processor, and those that data types alone ask for."""

NO_RATIOS = f"There are no ratios: {' or '.join(REFERENCES)} and another policy must be built of the same network."


@dataclass(frozen=True)
class Group:
    """The records of one network, board and rate, which differ in their policy alone."""

    title: str
    records: tuple[PointRecord, ...]

    def reference(self, policy: str) -> PointRecord | None:
        """The record with one width a layer by `policy`; None where that was not built."""
        return next((record for record in self.records if record.policy == policy and not record.per_pe), None)

    def ratio(self, record: PointRecord, policy: str) -> float | None:
        """The LUTs of `record` over those with `policy`; None where that was not built."""
        reference = self.reference(policy)
        return record.lut / reference.lut if reference else None

    def finding(self) -> str:
        """The ratios in words, and whether they are of equal foldings; empty where there is none."""
        parts = [part for policy in REFERENCES if (part := self._against(policy))]
        return f"{'; '.join(parts)}. {self._foldings()}" if parts else ""

    def _against(self, policy: str) -> str:
        reference = self.reference(policy)
        if reference is None:
            return ""
        earlier = REFERENCES[: REFERENCES.index(policy)]
        others = [record for record in self.records if record is not reference and record.policy not in earlier]
        ratios = [f"{policy_label(record)} takes {self.ratio(record, policy):.3f}" for record in others]
        return f"of the {number(reference.lut)} LUT with {policy}, {', '.join(ratios)}" if ratios else ""

    def _foldings(self) -> str:
        if len({record.folding for record in self.records}) == 1:
            return "Their foldings are the same."
        first = self.records[0]
        others = [policy_label(record) for record in self.records if record.folding != first.folding]
        return (
            f"Their foldings are not the same, so these ratios are not of accumulators alone: {', '.join(others)} "
            f"{'is' if len(others) == 1 else 'are'} folded otherwise than {policy_label(first)}."
        )


def group_by_policy(records: Sequence[PointRecord]) -> list[Group]:
    """The groups of `records`, in the order of their first members."""
    groups: dict[tuple[object, ...], list[PointRecord]] = {}
    for record in records:
        key = (record.model, record.weights, record.provenance, record.seed, record.board, record.target_fps)
        groups.setdefault(key, []).append(record)
    seeds = len({record.seed for record in records}) > 1
    return [Group(_title(members[0], seeds), tuple(members)) for members in groups.values()]


def describe_ratios(records: Sequence[PointRecord]) -> list[tuple[str, str]]:
    """The title of each group that has ratios, and these in words."""
    return [(group.title, finding) for group in group_by_policy(records) if (finding := group.finding())]


def policy_label(record: PointRecord) -> str:
    """The policy of a record, and whether each PE has a width of its own."""
    return f"{record.policy} per PE" if record.per_pe else record.policy


def rate_label(target_fps: float | str) -> str:
    """The rate that was asked for.

    >>> rate_label(10000.0), rate_label("max")
    ('10,000 frames/s', 'the most frames/s that fit')
    """
    return "the most frames/s that fit" if isinstance(target_fps, str) else f"{number(float(target_fps))} frames/s"


def _title(record: PointRecord, seeds: bool) -> str:
    untrained = " with untrained weights" if record.weights == "synthetic" else ""
    seed = f", seed {record.seed}" if seeds else ""
    return f"{record.model}{untrained} on {record.board} at {rate_label(record.target_fps)}{seed}"
