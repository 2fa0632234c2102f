"""How people are told: one file per channel, each a receiver and what a message looks like there."""
