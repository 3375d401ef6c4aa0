"""Builds what a comparison lacks, wherever there are workers, and collects it.

Every point is a task, and so is every folding that points share. What a worker sends back is put into the collection by
its content; the client, which runs here, is the only one to write there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client, Future, as_completed

from pipeline import fingerprint
from pipeline.compare import cluster
from pipeline.compare.collection import Collection
from pipeline.compare.folding import references
from pipeline.compare.points import Point
from pipeline.compare.record import Failure, PointRecord, axes_of
from pipeline.compare.task import Built, Failed, Place, build_point, checkout, find_folding, keys
from pipeline.compare.view import View
from pipeline.errors import A2QError

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """The points that were built or kept, and those that failed, each in the order of the points."""

    records: tuple[PointRecord, ...]
    failures: tuple[Failure, ...]
    built: int  # of the records, those that were not kept from before


def compare(
    points: Sequence[Point],
    out: Path,
    work: Path,
    view: View,
    *,
    scheduler: str | None = None,
    jobs: int | None = None,
    verbose: bool = False,
) -> Comparison:
    """Build those of `points` that the collection in `out` lacks, in folders of `work`, and collect them there.

    They run on the Dask cluster of `scheduler`, an address; without one in `jobs` processes of this machine. A point
    that fails is among the failures, and the others go on. Raises ConfigError for a cluster that cannot be had.
    """
    collection = Collection(out)
    made = checkout()
    wanted = keys(points, made)
    records: dict[str, PointRecord] = {}
    failures: dict[str, Failure] = {}
    for point in points:
        record = collection.find(point.slug, wanted[point.slug])
        if record is not None:
            records[point.slug] = record
            view.reused(point, record)
    missing = [point for point in points if point.slug not in records]
    reused = len(records)
    if missing:
        place = Place(work.absolute(), made, f"a2q-{uuid.uuid4().hex}", verbose)
        workers: AbstractContextManager[Client] = (
            cluster.remote(scheduler) if scheduler else cluster.here(cluster.cores_for(len(missing), jobs))
        )
        with workers as client, view.shown():
            if scheduler and not client.scheduler_info()["workers"]:
                view.note(f"{scheduler} has no worker yet; waiting for one")
            client.subscribe_topic(place.topic, lambda event: view.event(event[1]))
            for point, built in _built(client, points, missing, wanted, place, view):
                if isinstance(built, Built):
                    collection.add(point.slug, wanted[point.slug], built.record, built.files, built.contents)
                    records[point.slug] = built.record
                    view.built(point, built.record)
                else:
                    failures[point.slug] = Failure(**axes_of(point), stage=built.stage, message=built.message)
                    view.failed(point, built)
    order = [point.slug for point in points]
    return Comparison(
        tuple(records[slug] for slug in order if slug in records),
        tuple(failures[slug] for slug in order if slug in failures),
        len(records) - reused,
    )


def _built(
    client: Client,
    points: Sequence[Point],
    missing: Sequence[Point],
    wanted: Mapping[str, str],
    place: Place,
    view: View,
) -> Iterator[tuple[Point, Built | Failed]]:
    """Each of the `missing` points with what came of it, as they end."""
    alike = references(points)
    foldings: dict[str, Future[Any]] = {}
    futures: dict[Future[Any], Point] = {}
    for point in missing:
        candidates = alike[point.slug]
        shared = fingerprint.combine({"candidates": candidates, "place": place})[:16]
        if shared not in foldings:
            foldings[shared] = client.submit(find_folding, candidates, place, key=f"a2q-folding-{shared}")
        digest = fingerprint.combine({"key": wanted[point.slug], "place": place})[:16]
        future = client.submit(build_point, point, foldings[shared], place, key=f"a2q-{point.slug}-{digest}")
        futures[future] = point
    try:
        for future in as_completed(futures, loop=client.loop):
            point = futures[future]
            error = future.exception()
            if error is None:
                yield point, future.result()
            elif isinstance(error, A2QError):
                yield point, Failed(view.stage_of(point), str(error))
            else:  # a worker that died again and again, or a mistake of this program
                yield point, Failed(view.stage_of(point), f"{type(error).__name__}: {error}")
            future.release()
    except BaseException:  # an interrupt: what has not begun is not to begin
        client.cancel([*foldings.values(), *futures], force=True)
        raise
