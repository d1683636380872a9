"""Between the wire and `model.types`: pure functions, no I/O."""
