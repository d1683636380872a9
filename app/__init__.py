"""The HTTP server: OpenAI's wire formats in front of a `model.types.Engine`.

No tensors here, and nothing of `training`.
"""
