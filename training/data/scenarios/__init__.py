"""The scenario library: reading the domains of `training/scenarios`, checking them, and drawing examples from them."""
