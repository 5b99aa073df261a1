"""The description of the API (OpenAPI 3.0): with each operation, also how it refuses."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.openapi import AutoSchema

Schema = dict[str, Any]

_DETAIL: Final[Schema] = {
    "type": "object",
    "properties": {"detail": {"type": "string"}},
    "required": ["detail"],
}
_SENTENCES: Final[Schema] = {"type": "array", "items": {"type": "string"}}
_FAULTS: Final[Schema] = {
    "oneOf": [
        _SENTENCES,
        {"type": "object", "additionalProperties": {"oneOf": [{"type": "string"}, _SENTENCES]}},
    ]
}
"""Sentences about the whole, sentences by field, or one sentence under `detail`."""


def _refusal(description: str, body: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": body}}}


class Description(AutoSchema):  # type: ignore[misc]
    """drf-spectacular's, which knows nothing of the answers that the framework itself gives."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        """An operation with its refusals; None where it is not described."""
        operation: Schema | None = super().get_operation(*args, **kwargs)
        if operation is not None:
            operation["responses"] |= self._refusals(operation)
        return operation

    def _refusals(self, operation: Schema) -> Schema:
        found = {"403": _refusal("Not logged in, or a form of another site.", _DETAIL)}
        if "{" in self.path:
            found["404"] = _refusal("There is no such thing of one's own.", _DETAIL)
        if "requestBody" in operation:
            found["400"] = _refusal("What is wrong, in sentences.", _FAULTS)
            found["415"] = _refusal("The body is not JSON.", _DETAIL)
            found["429"] = _refusal("Too many changes; try again later.", _DETAIL)
        return dict(sorted(found.items()))
