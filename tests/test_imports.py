"""Imports run one way: no cycle among the files, those for type checking alone included."""

from __future__ import annotations

import graphlib

import grimp
import pytest

PACKAGES = ("agent", "envs", "planners", "joule", "joule_errors", "joule_schema")


def test_no_cycle_among_files() -> None:
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 100
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
