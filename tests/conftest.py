"""Bytecode is kept even where the environment says no: to rewrite the assertions of all files anew costs each worker ten seconds."""

import sys

sys.dont_write_bytecode = False
