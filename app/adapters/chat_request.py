"""A chat completion request as a `GenerationRequest`; what cannot be served is refused here, with its path.

Read but without effect: `strict` (schemas are always enforced) and the fields that `ChatCompletionRequest` lists as
ignored. The legacy `functions`, `function_call` and role `function` are translated to tools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.adapters.conversation import declared_tools, earlier_call, latest_tool_results, missing, named_choice
from app.errors import InvalidRequestError, UnsupportedError
from app.schemas.chat import ChatCompletionRequest, ChatMessage, Content
from model.types import GenerationRequest, Message, Role, Tool, ToolCall, ToolChoice

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_MEDIA = {"image_url": "Images", "input_audio": "Audio", "file": "Files"}


@dataclass(frozen=True)
class ChatJob:
    """The neutral request, and what the answer's shape depends on besides the result."""

    request: GenerationRequest
    legacy: bool
    """The client used `functions`, so it is answered with `function_call`."""
    tool_results: str
    """The text that ends an agent loop: the latest tool results, or "" when the last turn is not one."""

    def client_path(self, param: str | None) -> str | None:
        """An engine's path (`tools[0].function.parameters`) in the terms of what the client sent."""
        if param is None or not self.legacy:
            return param
        return param.replace("tools[", "functions[", 1).replace("].function", "]", 1)


def to_job(body: ChatCompletionRequest) -> ChatJob:
    _refuse_unsupported(body)
    messages = _messages(body.messages)
    legacy = body.tools is None and body.functions is not None
    if body.tools is not None:
        tools = declared_tools([tool.function for tool in body.tools], "tools[{}].function.name")
    elif body.functions is not None:
        tools = declared_tools(body.functions, "functions[{}].name")
    else:
        raise InvalidRequestError(
            "Bodkin makes tool calls only: declare at least one function in 'tools'.",
            param="tools",
            code="missing_required_parameter",
        )
    request = GenerationRequest(
        messages=messages,
        tools=tools,
        tool_choice=_function_call_choice(body, tools) if legacy else _tool_choice(body, tools),
        # The legacy form has room for one call only.
        parallel_tool_calls=not legacy and body.parallel_tool_calls is not False,
        max_tokens=body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens,
        temperature=0.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        # OpenAI's seeds are signed; a random generator's are not.
        seed=None if body.seed is None else body.seed % 2**64,
    )
    return ChatJob(request=request, legacy=legacy, tool_results=latest_tool_results(messages))


def _refuse_unsupported(body: ChatCompletionRequest) -> None:
    """Silently ignoring one of these would give the client something else than it asked for."""
    if body.n is not None and body.n > 1:
        raise UnsupportedError("Only 'n': 1 is supported by this version of Bodkin.", param="n")
    if body.stop not in (None, "", []):
        raise UnsupportedError("'stop' is not supported by this version of Bodkin.", param="stop")
    if body.logprobs:
        raise UnsupportedError("'logprobs' are not supported by this version of Bodkin.", param="logprobs")
    if body.top_logprobs:
        raise UnsupportedError("'top_logprobs' are not supported by this version of Bodkin.", param="top_logprobs")
    if body.response_format is not None and body.response_format.type != "text":
        raise UnsupportedError(
            "Only 'response_format': {'type': 'text'} is supported by this version of Bodkin.", param="response_format"
        )


def _messages(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Translate the turns; a tool's turn gets the name of the function whose call it answers."""
    pending: dict[str, str] = {}  # id to function name, of the calls that may still be answered
    translated = []
    for i, message in enumerate(messages):
        text = _text(message.content, f"messages[{i}].content")
        role = _ROLES[message.role]
        calls: list[ToolCall] = []
        name = None
        if message.role == "assistant":
            wire_calls = message.tool_calls or []
            pending = {call.id: call.function.name for call in wire_calls}
            calls = [earlier_call(call.function.name, call.function.arguments) for call in wire_calls]
            if message.function_call is not None:
                calls.append(earlier_call(message.function_call.name, message.function_call.arguments))
        elif message.role == "tool":
            name = _answered_function(message, pending, i)
        elif message.role == "function":
            if message.name is None:
                raise missing(f"messages[{i}].name")
            name = message.name
        else:
            pending = {}
        translated.append(Message(role=role, text=text, tool_calls=tuple(calls), name=name))
    return tuple(translated)


def _answered_function(message: ChatMessage, pending: dict[str, str], i: int) -> str:
    if message.tool_call_id is None:
        raise missing(f"messages[{i}].tool_call_id")
    if not pending:
        raise InvalidRequestError(
            "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
            param=f"messages[{i}].role",
        )
    if message.tool_call_id not in pending:
        raise InvalidRequestError(
            f"Invalid parameter: 'tool_call_id' of '{message.tool_call_id[:64]}' not found in 'tool_calls' of previous "
            "message.",
            param=f"messages[{i}].tool_call_id",
        )
    return pending[message.tool_call_id]


def _text(content: Content | None, param: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for i, part in enumerate(content):
        if part.type in _MEDIA:
            raise UnsupportedError(
                f"{_MEDIA[part.type]} are not supported: Bodkin reads text only.",
                param=f"{param}[{i}]",
                code="unsupported_value",
            )
        if part.type not in ("text", "refusal"):
            raise InvalidRequestError(
                f"Invalid value for '{param}[{i}].type': '{part.type[:60]}'. Supported values are: 'text'.",
                param=f"{param}[{i}].type",
                code="invalid_value",
            )
        text = part.text if part.type == "text" else part.refusal
        if text is None:
            raise missing(f"{param}[{i}].{part.type}")
        texts.append(text)
    return "\n".join(texts)


def _tool_choice(body: ChatCompletionRequest, tools: Sequence[Tool]) -> ToolChoice:
    choice = body.tool_choice
    if choice is None:
        return ToolChoice()
    if isinstance(choice, str):
        return ToolChoice(choice)
    if choice.type == "allowed_tools":
        raise UnsupportedError(
            "'tool_choice' of type 'allowed_tools' is not supported by this version of Bodkin.", param="tool_choice"
        )
    if choice.type != "function":
        raise InvalidRequestError(
            f"Invalid value for 'tool_choice.type': '{choice.type[:60]}'. Supported values are: 'function'.",
            param="tool_choice.type",
            code="invalid_value",
        )
    if choice.function is None:
        raise missing("tool_choice.function")
    return named_choice(choice.function.name, tools, "tool_choice", "tools")


def _function_call_choice(body: ChatCompletionRequest, tools: Sequence[Tool]) -> ToolChoice:
    choice = body.function_call
    if choice is None:
        return ToolChoice()
    if isinstance(choice, str):
        return ToolChoice(choice)
    return named_choice(choice.name, tools, "function_call", "functions")
