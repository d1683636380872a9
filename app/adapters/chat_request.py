"""A chat completion request as a `GenerationRequest`; what cannot be served is refused here, with its path.

Read but without effect: `strict` (schemas are always enforced) and the fields that `ChatCompletionRequest` lists as
ignored. The legacy `functions`, `function_call` and role `function` are translated to tools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.adapters.conversation import (
    allowed_tools,
    client_tool_path,
    content_text,
    declared_tools,
    earlier_call,
    latest_tool_results,
    missing,
    named_choice,
)
from app.adapters.response_format import Answer, Cut, json_mode, mentions_json, response_tool
from app.errors import InvalidRequestError, UnsupportedError
from app.schemas.chat import ChatCompletionRequest, ChatMessage, JSONObjectFormat, JSONSchemaFormat
from app.schemas.tools import AllowedToolsChoice, NamedToolChoice
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
_SEEDS = 2**64


@dataclass(frozen=True)
class ChatJob:
    """The neutral request, and what the answer's shape depends on besides the results."""

    request: GenerationRequest
    legacy: bool
    """The client used `functions`, so it is answered with `function_call`."""
    tool_results: str
    """The text that ends an agent loop: the latest tool results, or "" when the last turn is not one."""
    numbers: tuple[int, ...]
    """Which of the client's tools each of `request.tools` is."""
    schema_path: str = ""
    """Where the client wrote the schema of the JSON text."""
    cuts: tuple[Cut, ...] = ()
    """What `request.messages` lack of the client's messages."""
    n: int = 1
    stop: tuple[str, ...] = ()

    @property
    def requests(self) -> tuple[GenerationRequest, ...]:
        """One for each choice. They differ in their seeds where these matter and the client gave one."""
        request = self.request
        if request.seed is None or request.temperature == 0:
            return (request,) * self.n
        return tuple(replace(request, seed=(request.seed + i) % _SEEDS) for i in range(self.n))

    def client_path(self, param: str | None) -> str | None:
        """An engine's path (`tools[0].function.parameters`) in the terms of what the client sent."""
        if param is None:
            return None
        if param.startswith("response.parameters"):
            inside = "" if self.cuts else param.removeprefix("response.parameters")  # a message's text has no paths
            return self.schema_path + inside
        if param == "response":
            return "response_format"
        param = client_tool_path(param, self.numbers)
        if not self.legacy:
            return param
        return param.replace("tools[", "functions[", 1).replace("].function", "]", 1)


def to_job(body: ChatCompletionRequest) -> ChatJob:
    _refuse_unsupported(body)
    messages = _messages(body.messages)
    legacy = body.tools is None and body.functions is not None
    if body.tools is not None:
        tools = declared_tools([tool.function for tool in body.tools], "tools[{}].function.name")
    else:
        tools = declared_tools(body.functions or [], "functions[{}].name")
    answer, schema_path = _answer(body, messages)
    if not tools and answer.response is None:
        raise InvalidRequestError(
            "Bodkin makes tool calls and JSON answers only: declare at least one function in 'tools', or ask for JSON "
            "with 'response_format'.",
            param="tools",
            code="missing_required_parameter",
        )
    numbers = tuple(range(len(tools)))
    if legacy:
        choice = _function_call_choice(body, tools)
    else:
        choice = _tool_choice(body, tools)
        if isinstance(body.tool_choice, AllowedToolsChoice):
            names = [tool.function.name for tool in body.tool_choice.allowed_tools.tools]
            numbers = allowed_tools(names, tools, "tool_choice.allowed_tools.tools[{}].function.name")
            tools = tuple(tools[number] for number in numbers)
    request = GenerationRequest(
        messages=answer.messages,
        tools=tools,
        tool_choice=choice,
        # The legacy form has room for one call only.
        parallel_tool_calls=not legacy and body.parallel_tool_calls is not False,
        max_tokens=body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens,
        temperature=0.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        # OpenAI's seeds are signed; a random generator's are not.
        seed=None if body.seed is None else body.seed % _SEEDS,
        response=answer.response,
        top_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
    )
    stop = body.stop or ()
    return ChatJob(
        request=request,
        legacy=legacy,
        tool_results=latest_tool_results(messages),
        numbers=numbers,
        schema_path=schema_path,
        cuts=answer.cuts,
        n=body.n or 1,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )


def _refuse_unsupported(body: ChatCompletionRequest) -> None:
    """What one field demands of another, and what nobody may think was done."""
    if body.stream_options is not None and not body.stream:
        raise InvalidRequestError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequestError(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs"
        )
    if body.web_search_options is not None:
        raise UnsupportedError("Bodkin does not search the web.", param="web_search_options")


def _answer(body: ChatCompletionRequest, messages: tuple[Message, ...]) -> tuple[Answer, str]:
    """What `response_format` asks for, and where its schema stands."""
    match body.response_format:
        case JSONSchemaFormat(json_schema=wanted):
            response = response_tool(wanted.name, wanted.description, wanted.schema_)
            return Answer(response, messages), "response_format.json_schema.schema"
        case JSONObjectFormat():
            if not mentions_json(messages):
                raise InvalidRequestError(
                    "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                    "'json_object'.",
                    param="messages",
                )
            answer = json_mode(messages)
            return answer, f"messages[{answer.cuts[-1].message}].content" if answer.cuts else "response_format"
        case _:
            return Answer(None, messages), ""


def _messages(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Translate the turns; a tool's turn gets the name of the function whose call it answers."""
    pending: dict[str, str] = {}  # id to function name, of the calls that may still be answered
    translated = []
    for i, message in enumerate(messages):
        text = content_text(message.content, f"messages[{i}].content", ("text",), _MEDIA)
        if not message.content and message.role == "assistant":
            text = message.refusal or ""
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


def _tool_choice(body: ChatCompletionRequest, tools: Sequence[Tool]) -> ToolChoice:
    """The choice; for `allowed_tools` its mode."""
    choice = body.tool_choice
    if choice is None or choice == "none" or choice == "auto":
        return ToolChoice(choice or "auto")
    if not tools:
        raise InvalidRequestError(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            param="tool_choice",
            code="invalid_value",
        )
    match choice:
        case NamedToolChoice():
            return named_choice(choice.function.name, tools, "tool_choice", "tools")
        case AllowedToolsChoice():
            return ToolChoice(choice.allowed_tools.mode)
        case _:
            return ToolChoice(choice)


def _function_call_choice(body: ChatCompletionRequest, tools: Sequence[Tool]) -> ToolChoice:
    choice = body.function_call
    if choice is None:
        return ToolChoice()
    if isinstance(choice, str):
        return ToolChoice(choice)
    return named_choice(choice.name, tools, "function_call", "functions")
