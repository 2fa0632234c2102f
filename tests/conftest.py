"""Bytecode is kept even where the environment says no: to rewrite the assertions of all files anew costs each worker ten seconds."""

import sys

from hypothesis import HealthCheck, settings

sys.dont_write_bytecode = False

# how long an example takes says more of the machine than of what is tested; CI's own profile stays underneath
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
