"""The toy algorithm for every test of this room."""

import pytest
from runs import toy


@pytest.fixture(autouse=True)
def installed_toy(monkeypatch):
    toy.install(monkeypatch.setattr, monkeypatch.setitem)
