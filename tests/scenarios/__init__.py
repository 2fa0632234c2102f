"""Days in the life of a cluster, told as YAML files and played by the real command against the simulated cluster."""
