"""idle-check as a whole: what it does over time, while others interfere, and when it is killed half-way."""
