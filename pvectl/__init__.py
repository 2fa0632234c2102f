"""pvectl: a safe, honest toolkit for people who run Proxmox VE."""

__version__ = "0.1.0"
