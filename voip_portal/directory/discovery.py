"""All parts of the directory: the modules of `parts/`, in the order of their names."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from voip_portal.directory import parts
from voip_portal.directory.loader import Loader

LOADERS: Final[tuple[Loader[Any], ...]] = tuple(
    import_module(f"{parts.__name__}.{module.name}").LOADER
    for module in sorted(iter_modules(parts.__path__), key=lambda module: module.name)
)
TABLES: Final = tuple(table for loader in LOADERS for table in loader.tables)
LOADER_OF: Final = {table.table: loader for loader in LOADERS for table in loader.tables}
"""The loader whose part a table belongs to."""
