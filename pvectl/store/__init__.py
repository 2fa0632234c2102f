"""The state file: what the next run must know, holds, intents before acts, and the audit trail. The only room that knows sqlite3."""

from pvectl.store.entries import DecisionEntry, Ending, HistoryEntry, Intent, Verb
from pvectl.store.opening import open_beside, open_to_read, open_to_write
from pvectl.store.places import state_dir
from pvectl.store.state import Store

__all__ = [
    "DecisionEntry",
    "Ending",
    "HistoryEntry",
    "Intent",
    "Store",
    "Verb",
    "open_beside",
    "open_to_read",
    "open_to_write",
    "state_dir",
]
