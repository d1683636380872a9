"""Everything `model` raises on purpose.

ModelError
├── ArtifactError          the artifact folder is missing, damaged, or of another format version
├── StoreError             a name or version that the store of artifacts does not have, or may not have
├── RuntimeMissingError    neither onnxruntime nor onnxruntime-gpu is installed
└── RequestError           the caller's fault; `param` is a path such as "tools[2].function.parameters"
    ├── SchemaError        a tool's JSON Schema cannot be enforced
    └── ContextLengthError more tokens than the artifact's limits allow
"""

from __future__ import annotations


class ModelError(Exception):
    """Base of all errors raised by `model`."""


class ArtifactError(ModelError):
    """The artifact folder is missing, damaged, or of another format version."""


class StoreError(ModelError):
    """The store of artifacts has no such name or version, or a name is not allowed."""


class RuntimeMissingError(ModelError):
    """No ONNX Runtime wheel is installed."""


class RequestError(ModelError):
    """The request cannot be served as it stands.

    Args:
        message: one sentence for the caller, naming what to change.
        param: where in the request, in OpenAI's path notation; None when it is not one place.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class SchemaError(RequestError):
    """A tool's JSON Schema is invalid, or uses a keyword that the grammar cannot enforce."""


class ContextLengthError(RequestError):
    """The request or a single tool needs more tokens than the artifact's limits allow."""
