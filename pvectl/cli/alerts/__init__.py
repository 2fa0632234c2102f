"""What stands behind `pvectl alert`: the run, the pages it prints, and what people say back."""
