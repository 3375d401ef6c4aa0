from __future__ import annotations

import pytest

from pipeline.static_timing import slowest_paths
from pipeline.static_timing.slowest_paths import clock_warning

KNOWN = {"MVAU": {"optimistic": 3.0, "pessimistic": 4.5}, "Pool": {"optimistic": 3.5, "pessimistic": 4.0}}


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(slowest_paths, "slowest_paths", lambda family: KNOWN)


@pytest.mark.parametrize(
    ("period_ns", "warning"),
    [
        (4.5, ""),
        (4.2, "4.2 ns may be out of reach on UltraScale+, speed grade -2: MVAU took up to 4.5 ns in other builds"),
        (3.8, "3.8 ns may be out of reach on UltraScale+, speed grade -2: MVAU and 1 more took up to 4.5 ns in other"),
        (3.2, "3.2 ns is out of reach on UltraScale+, speed grade -2: Pool took up to 3.5 ns in other builds"),
    ],
)
def test_a_clock_is_compared_with_what_kinds_of_layers_took(period_ns, warning):
    said = clock_warning(["MVAU", "Pool", "MVAU"], "xcup", period_ns)
    assert said.startswith(warning) and bool(said) == bool(warning)
    if said:
        assert "(estimated, " in said and said.endswith("timing estimates this one)")


def test_a_kind_that_nothing_is_known_of_is_named():
    assert clock_warning(["MVAU", "New"], "xcup", 5.0) == "no clock is known of New"
