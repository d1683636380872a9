"""The wire formats as pydantic models, one file per noun."""
