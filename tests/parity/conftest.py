"""Whole models are large: one is in memory at a time, and none when a file of tests is done."""

import pytest

from tests.parity import golden, learning, network


def pytest_collection_modifyitems(items):
    """Within a file the cases of one model come one after another, those of one backbone, too."""
    place = {}
    for item in items:
        place.setdefault(item.path, len(place))
    items.sort(key=lambda item: (place[item.path], *_model(item)))


def _model(item):
    case = item.callspec.params.get("case") if hasattr(item, "callspec") else None
    if not isinstance(case, golden.Golden) or case.model not in golden.CONFIGS:
        return "", ""
    return golden.config(case.model).model.backbone, case.model


@pytest.fixture(autouse=True, scope="module")
def _models_are_dropped():
    yield
    golden.forget()
    learning.forget()
    network.forget()
