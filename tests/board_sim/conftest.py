from __future__ import annotations

import pytest

from tests.board_sim.deploy import Deployment, make_deployment

# pytest looks for examples in every module; this one can be imported in the environment of pynq only
collect_ignore = ["client.py"]


@pytest.fixture(scope="session")
def deployment(tmp_path_factory) -> Deployment:
    """A package for a KV260."""
    return make_deployment(tmp_path_factory.mktemp("kv260"))
