"""Each argument of each public call wrong, one at a time: answered, and by its name."""

import inspect

import pytest
from alone import run_alone

import spmlex

METHODS = ("Fit", "EfficientEstimate")
"""Classes whose methods take arguments."""


@pytest.fixture(scope="module")
def tried(request):
    """What came of every call, made in a process of its own."""
    return run_alone("wrong_arguments.py", request.config)


@pytest.mark.thorough
def test_every_wrong_argument_is_a_result_or_named(tried):
    from wrong_arguments import CALLS, is_answered

    raw = [case for case in tried if not is_answered(case[1], case[3])]
    assert raw == []
    functions = {
        name for name in spmlex.__all__ if inspect.isfunction(getattr(spmlex, name))
    }
    methods = {
        f"{owner}.{name}"
        for owner in METHODS
        for kind in getattr(spmlex, owner).__mro__
        if kind.__module__.startswith("spmlex")
        for name, value in vars(kind).items()
        if not name.startswith("_")
        and name != "cost"  # asked by what compiles programs
        and callable(value)
        and len(inspect.signature(value).parameters) > 1
    }
    assert functions | methods == set(CALLS)
    assert len(tried) > 1000
