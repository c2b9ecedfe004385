"""``python -m tests.end_to_end.strangers``: ask everything as everybody, and write the tables of docs/security.md."""

from __future__ import annotations

from tests.end_to_end.strangers.table import write_table
from tests.end_to_end.strangers.tables import TABLES, table_of

for name in TABLES:
    write_table(name, table_of(name))
