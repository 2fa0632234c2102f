"""A simulated Proxmox VE cluster, served over HTTP from one standard-library process."""
