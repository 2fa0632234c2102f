"""What `pvectl monitor` looks at: quick answers in every run, slow ones hourly, each source with its own age and its own reason."""

from pvectl.observe.monitor.look import Asking, look
from pvectl.observe.monitor.memory import ClusterSlow, GuestsSlow, Memory, NodesSlow, Seen, StoragesSlow

__all__ = ["Asking", "ClusterSlow", "GuestsSlow", "Memory", "NodesSlow", "Seen", "StoragesSlow", "look"]
