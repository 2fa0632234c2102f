"""What stands behind `pvectl idle-check`: the run from first look to power-off, its memory, its pages."""
