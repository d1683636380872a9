"""A Responses request as a `GenerationRequest`; what cannot be served is refused here, with its path.

Read but without effect: `strict` (schemas are always enforced), `reasoning` items, and the fields that
`ResponseRequest` lists as ignored. Nothing is looked up but the items that a request refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.adapters.conversation import (
    allowed_tools,
    client_tool_path,
    content_text,
    declared_tools,
    earlier_call,
    latest_tool_results,
    named_choice,
)
from app.adapters.response_format import Answer, Cut, client_span, json_mode, mentions_json, response_tool
from app.errors import InvalidRequestError, NotFoundError, UnsupportedError
from app.schemas.chat import JSONObjectFormat
from app.schemas.responses import (
    CallOutput,
    EarlierCall,
    FunctionReference,
    InputItem,
    InputMessage,
    ItemReference,
    JSONSchemaTextFormat,
    OtherItem,
    ResponseFunctionTool,
    ResponseRequest,
)
from model.types import GenerationRequest, Message, Role, Span, Tool, ToolChoice

Recall = Callable[[str], InputItem | None]
"""From the id of an item of an earlier response to the item; None if it is not remembered."""

LOGPROBS = "message.output_text.logprobs"
_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TEXTS = ("input_text", "output_text")
_MEDIA = {"input_image": "Images", "input_file": "Files", "input_audio": "Audio"}


@dataclass(frozen=True)
class ResponseJob:
    """The neutral request, and what the answer's shape depends on besides the result."""

    request: GenerationRequest
    body: ResponseRequest
    tool_results: str
    """The text that ends an agent loop: the latest tool results, or "" when the last item is not one."""
    items: tuple[int | None, ...]
    """Of each message, the item of `input` that its text is of; None for `instructions`."""
    numbers: tuple[int, ...]
    """Of each tool, its number in the request's `tools`, of which `tool_choice` may allow some only."""
    schema_path: str = ""
    """Where the client put the schema of the JSON text."""
    cuts: tuple[Cut, ...] = ()
    """What `request.messages` lack of the client's messages."""

    def client_path(self, param: str | None) -> str | None:
        """An engine's path (`tools[0].function.parameters`) in the terms of what the client sent."""
        if param is None:
            return None
        if param.startswith("response"):
            # Inside of a message there are no paths.
            rest = "" if self.cuts else param.removeprefix("response").removeprefix(".parameters")
            return self.schema_path + rest
        if param.startswith("messages"):
            return "input"
        return client_tool_path(param, self.numbers).replace("].function", "]", 1)

    def locate(self, span: Span) -> Span | None:
        """`span` in the item of `input` that it is of; None when it lies in `instructions`."""
        cut = client_span(span, self.cuts)
        item = None if cut is None else self.items[cut.message]
        return None if cut is None or item is None else replace(cut, message=item)


def to_job(body: ResponseRequest, recall: Recall) -> ResponseJob:
    _refuse_unsupported(body)
    turns = _Turns(recall)
    if body.instructions is not None:
        turns.say("system", body.instructions, None)
    if isinstance(body.input, str):
        turns.say("user", body.input, 0)
    else:
        for i, item in enumerate(body.input):
            turns.add(item, i)
    if not turns.messages:
        raise InvalidRequestError("Invalid 'input': there is no message in it.", param="input", code="invalid_value")
    tools = _tools(body)
    choice, numbers = _tool_choice(body, tools)
    answer, schema_path = _json_answer(body, turns)
    if not tools and answer.response is None:
        raise InvalidRequestError(
            "Bodkin makes tool calls and JSON answers only: declare at least one function in 'tools', or ask for JSON "
            "with 'text.format'.",
            param="tools",
            code="missing_required_parameter",
        )
    request = GenerationRequest(
        messages=answer.messages,
        tools=tuple(tools[number] for number in numbers),
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        max_tokens=body.max_output_tokens,
        temperature=0.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        response=answer.response,
        top_logprobs=body.top_logprobs or 0 if LOGPROBS in (body.include or ()) else None,
    )
    return ResponseJob(
        request=request,
        body=body,
        tool_results=latest_tool_results(turns.messages),
        items=tuple(turns.items),
        numbers=numbers,
        schema_path=schema_path,
        cuts=answer.cuts,
    )


def _refuse_unsupported(body: ResponseRequest) -> None:
    """Silently ignoring one of these would give the client something else than it asked for."""
    for param, value in (("previous_response_id", body.previous_response_id), ("conversation", body.conversation)):
        if value is not None:
            raise UnsupportedError(
                f"'{param}' is not supported: Bodkin keeps no responses. Send the whole conversation in 'input'.",
                param=param,
            )
    if body.prompt is not None:
        raise UnsupportedError("'prompt' is not supported: Bodkin keeps no prompts.", param="prompt")
    if body.background:
        raise UnsupportedError(
            "'background' is not supported: Bodkin keeps no responses to be fetched later.", param="background"
        )


class _Turns:
    """Gathers items into messages: consecutive calls are one turn, together with the text before them."""

    def __init__(self, recall: Recall) -> None:
        self.messages: list[Message] = []
        self.items: list[int | None] = []
        self._recall = recall
        self._names: dict[str, str] = {}  # of the functions called so far, by the call's id

    def say(self, role: Role, text: str, item: int | None, name: str | None = None) -> None:
        self.messages.append(Message(role, text, name=name))
        self.items.append(item)

    def add(self, item: InputItem, i: int) -> None:
        match item:
            case InputMessage():
                self.say(_ROLES[item.role], content_text(item.content, f"input[{i}].content", _TEXTS, _MEDIA), i)
            case EarlierCall():
                self._call(item, i)
            case CallOutput():
                if item.call_id not in self._names:
                    raise InvalidRequestError(
                        f"No tool call found for function call output with call_id '{item.call_id[:64]}'.",
                        param=f"input[{i}].call_id",
                    )
                self.say(
                    "tool",
                    content_text(item.output, f"input[{i}].output", _TEXTS, _MEDIA),
                    i,
                    self._names[item.call_id],
                )
            case ItemReference():
                self.add(self._recalled(item, i), i)
            case OtherItem():
                if item.type != "reasoning":
                    raise UnsupportedError(
                        f"Items of type '{item.type[:60]}' are not supported. Supported types are: 'message', "
                        "'function_call', 'function_call_output', 'item_reference', 'reasoning'.",
                        param=f"input[{i}].type",
                        code="unsupported_value",
                    )

    def _call(self, item: EarlierCall, i: int) -> None:
        if not (self.messages and self.messages[-1].role == "assistant"):
            self.say("assistant", "", i)
        turn = self.messages[-1]
        self.messages[-1] = replace(turn, tool_calls=(*turn.tool_calls, earlier_call(item.name, item.arguments)))
        self._names[item.call_id] = item.name

    def _recalled(self, reference: ItemReference, i: int) -> InputItem:
        item = self._recall(reference.id)
        if item is None:
            raise NotFoundError(
                f"Item with id '{reference.id[:64]}' not found. Bodkin keeps no responses, and remembers their items "
                "for a while only; send the item itself ('store': false makes the Vercel AI SDK do so).",
                param=f"input[{i}].id",
                code="item_not_found",
            )
        return item


def _json_answer(body: ResponseRequest, turns: _Turns) -> tuple[Answer, str]:
    """The JSON text that is asked for, if any, and where its schema stands."""
    messages = tuple(turns.messages)
    wanted = body.text.format if body.text else None
    if isinstance(wanted, JSONSchemaTextFormat):
        response = response_tool(wanted.name, wanted.description, wanted.schema_)
        return Answer(response, messages), "text.format.schema"
    if not isinstance(wanted, JSONObjectFormat):
        return Answer(None, messages), ""
    if not mentions_json(messages):
        raise InvalidRequestError(
            "'input' must contain the word 'json' in some form, to use 'text.format' of type 'json_object'.",
            param="input",
        )
    answer = json_mode(messages)
    if not answer.cuts:
        return answer, "text.format"
    item = turns.items[answer.cuts[-1].message]
    if item is None:
        return answer, "instructions"
    return answer, "input" if isinstance(body.input, str) else f"input[{item}].content"


def _tools(body: ResponseRequest) -> tuple[Tool, ...]:
    functions = []
    for i, tool in enumerate(body.tools or ()):
        if not isinstance(tool, ResponseFunctionTool):
            raise UnsupportedError(
                f"Tools of type '{tool.type[:60]}' are not supported: Bodkin calls functions that the request "
                "declares, and runs none itself.",
                param=f"tools[{i}].type",
                code="unsupported_value",
            )
        functions.append(tool)
    return declared_tools(functions, "tools[{}].name")


def _tool_choice(body: ResponseRequest, tools: Sequence[Tool]) -> tuple[ToolChoice, tuple[int, ...]]:
    """The choice, and the numbers of the tools that it is among."""
    every = tuple(range(len(tools)))
    choice = body.tool_choice
    if choice is None or isinstance(choice, str):
        if choice == "required" and not tools:
            raise InvalidRequestError(
                "Invalid value for 'tool_choice': 'required' is only allowed when 'tools' are specified.",
                param="tool_choice",
                code="invalid_value",
            )
        return ToolChoice(choice or "auto"), every
    if isinstance(choice, FunctionReference):
        return named_choice(choice.name, tools, "tool_choice", "tools"), every
    numbers = allowed_tools([tool.name for tool in choice.tools], tools, "tool_choice.tools[{}].name")
    return ToolChoice(choice.mode), numbers
