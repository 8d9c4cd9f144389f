"""The contract of runtimes, by those that Kitaru has."""

from kitaru.runtime.placement.isolated import IsolatedRuntime
from kitaru.runtime.placement.work import InProcess
from kitaru.testing import RuntimeContract


class TestInProcess(RuntimeContract):
    make = InProcess


class TestIsolated(RuntimeContract):
    make = IsolatedRuntime

    @classmethod
    def teardown_class(cls):
        cls._runtime.pool.close()


class TestIsolatedWithLimits(TestIsolated):
    given = {"memory": "1GB", "cpu_s": 60, "env": ["SOMETHING"], "cwd": "/", "max_calls": 2}
