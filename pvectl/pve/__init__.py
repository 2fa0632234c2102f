"""The only room that knows proxmoxer, HTTP and the paths of the Proxmox VE API."""
