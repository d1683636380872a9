"""Results as response objects and their output items. Pure: ids and the clock come in with `Head`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.adapters.bodkin import extension
from app.adapters.logprobs import token_logprob
from app.adapters.response_format import ANY_OBJECT
from app.adapters.responses_request import ResponseJob
from app.schemas.response_object import (
    DeclaredFormat,
    DeclaredText,
    DeclaredTool,
    IncompleteDetails,
    InputTokensDetails,
    ItemStatus,
    NoReasoning,
    OutputCall,
    OutputItem,
    OutputMessage,
    OutputText,
    OutputTokensDetails,
    ResponseErrorBody,
    ResponseObject,
    ResponseUsage,
    Status,
)
from app.schemas.responses import (
    AllowedFunctions,
    EarlierCall,
    FunctionReference,
    InputItem,
    InputMessage,
    JSONSchemaTextFormat,
    ResponseFunctionTool,
)
from model.types import GenerationResult, TokenLogprob


@dataclass(frozen=True)
class Head:
    """What a response is called. Ids of one response share `key`, so that streamed and whole they are the same."""

    key: str
    created: int
    model: str

    @property
    def id(self) -> str:
        return f"resp_{self.key}"

    @property
    def message_id(self) -> str:
        return f"msg_{self.key}"

    def item_id(self, index: int) -> str:
        """Of the `index`-th call's item."""
        return f"fc_{self.key}{index:02x}"

    def call_id(self, index: int) -> str:
        """Of the `index`-th call, for the output that answers it."""
        return f"call_{self.key}{index:02x}"


def new_key() -> str:
    return uuid.uuid4().hex


def response(head: Head, job: ResponseJob, result: GenerationResult, completed: int) -> ResponseObject:
    """The whole answer, `completed` at that Unix time."""
    cut = result.finish_reason == "length"
    made = _object(head, job, "incomplete" if cut else "completed", output_items(head, job, result))
    if cut:
        made.incomplete_details = IncompleteDetails(reason="max_output_tokens")
    else:
        made.completed_at = completed
    made.usage = _usage(result)
    made.bodkin = extension(result, job.locate)
    return made


def response_in_progress(head: Head, job: ResponseJob) -> ResponseObject:
    return _object(head, job, "in_progress", [])


def response_failed(head: Head, job: ResponseJob, message: str) -> ResponseObject:
    made = _object(head, job, "failed", [])
    made.error = ResponseErrorBody(code="server_error", message=message)
    return made


def output_items(head: Head, job: ResponseJob, result: GenerationResult) -> list[OutputItem]:
    """The finished calls, or else a message; nothing when the budget ended before anything was finished."""
    if result.calls:
        return [
            call_item(head, index, call.name, call.arguments, "completed") for index, call in enumerate(result.calls)
        ]
    cut = result.finish_reason == "length"
    if cut and result.text is None:
        return []
    text, tokens = answer_text(job, result)
    return [message_item(head, "incomplete" if cut else "completed", [text_part(text, tokens)])]


def answer_text(job: ResponseJob, result: GenerationResult) -> tuple[str, Sequence[TokenLogprob]]:
    """What an answer without calls says: the JSON text that was asked for, or else the latest results of tools."""
    if job.request.response is not None:
        return result.text or "", result.logprobs or ()
    return job.tool_results, ()


def call_item(head: Head, index: int, name: str, arguments: str, status: ItemStatus) -> OutputCall:
    return OutputCall(
        id=head.item_id(index),
        type="function_call",
        status=status,
        arguments=arguments,
        call_id=head.call_id(index),
        name=name,
    )


def message_item(head: Head, status: ItemStatus, content: list[OutputText]) -> OutputMessage:
    return OutputMessage(id=head.message_id, type="message", status=status, content=content, role="assistant")


def text_part(text: str, tokens: Sequence[TokenLogprob] = ()) -> OutputText:
    logprobs = [token_logprob(token) for token in tokens]
    return OutputText(type="output_text", annotations=[], logprobs=logprobs, text=text)


def as_input(items: Sequence[OutputItem]) -> Mapping[str, InputItem]:
    """Output items as the input of a later request, by their ids."""
    return {item.id: _as_input(item) for item in items}


def _as_input(item: OutputItem) -> InputItem:
    if isinstance(item, OutputCall):
        return EarlierCall(type="function_call", call_id=item.call_id, name=item.name, arguments=item.arguments)
    return InputMessage(role="assistant", content="".join(part.text for part in item.content))


def _object(head: Head, job: ResponseJob, status: Status, output: list[OutputItem]) -> ResponseObject:
    """A response with what was asked, and without what only a finished one has."""
    body, request = job.body, job.request
    return ResponseObject(
        id=head.id,
        object="response",
        created_at=head.created,
        status=status,
        background=False,
        completed_at=None,
        error=None,
        incomplete_details=None,
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        max_tool_calls=body.max_tool_calls,
        model=head.model,
        output=output,
        parallel_tool_calls=request.parallel_tool_calls,
        previous_response_id=None,
        prompt_cache_key=body.prompt_cache_key,
        reasoning=NoReasoning(effort=None, summary=None),
        safety_identifier=body.safety_identifier,
        service_tier="default",
        store=False,
        temperature=request.temperature,
        text=DeclaredText(format=_format(job), verbosity=(body.text and body.text.verbosity) or "medium"),
        tool_choice=_tool_choice(job),
        tools=[_tool(tool) for tool in body.tools or () if isinstance(tool, ResponseFunctionTool)],
        top_logprobs=request.top_logprobs or 0,
        top_p=request.top_p,
        truncation="disabled",
        usage=None,
        user=body.user,
        metadata=body.metadata or {},
    )


def _tool(tool: ResponseFunctionTool) -> DeclaredTool:
    return DeclaredTool(
        type="function",
        description=tool.description,
        name=tool.name,
        parameters=tool.parameters,
        strict=tool.strict is not False,
    )


def _tool_choice(job: ResponseJob) -> str | dict[str, Any]:
    choice = job.body.tool_choice
    if isinstance(choice, FunctionReference):
        return {"type": "function", "name": choice.name}
    if isinstance(choice, AllowedFunctions):
        tools = [{"type": "function", "name": tool.name} for tool in choice.tools]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}
    return choice or "auto"


def _format(job: ResponseJob) -> DeclaredFormat:
    wanted = job.body.text and job.body.text.format
    if not isinstance(wanted, JSONSchemaTextFormat):
        return DeclaredFormat(type=wanted.type if wanted else "text")
    return DeclaredFormat(
        type="json_schema",
        description=wanted.description,
        name=wanted.name,
        schema=dict(ANY_OBJECT if wanted.schema_ is None else wanted.schema_),
        strict=wanted.strict is not False,
    )


def _usage(result: GenerationResult) -> ResponseUsage:
    usage = result.usage
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=InputTokensDetails(cache_write_tokens=0, cached_tokens=usage.cached_tokens),
        output_tokens=usage.completion_tokens,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )
