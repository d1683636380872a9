"""Distillation: a teacher's tool calls, for the user's own tools, into a named artifact of the shipped model."""
