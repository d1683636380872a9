"""Models that answer requests with tool calls, for a student to learn from: one protocol, several teachers."""
