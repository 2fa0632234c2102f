"""The state file: what the next run must know, holds, intents before acts, the audit trail, alerts. The only room that knows sqlite3."""

from pvectl.store.entries import DecisionEntry, Ending, HistoryEntry, Intent, Verb
from pvectl.store.opening import open_beside, open_to_alert, open_to_read, open_to_write
from pvectl.store.places import state_dir
from pvectl.store.state import Store
from pvectl.store.unkept import note_unkept, told_unkept

__all__ = [
    "DecisionEntry",
    "Ending",
    "HistoryEntry",
    "Intent",
    "Store",
    "Verb",
    "note_unkept",
    "open_beside",
    "open_to_alert",
    "open_to_read",
    "open_to_write",
    "state_dir",
    "told_unkept",
]
