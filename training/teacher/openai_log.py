"""OpenAI's JSON as questions with their answers: lines of a fine-tuning file, and logged requests with their responses.

The legacy `functions`, `function_call` and role `function` are read too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model.prompt import dumps
from model.types import Message, Role, Tool, ToolCall
from training.distil.tools import ToolsError, tools_of
from training.teacher.base import Finish, Question, Reply

ROLES: Mapping[Any, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
FINISH: Mapping[Any, Finish] = {"length": "length", "content_filter": "blocked"}


class Unusable(ValueError):
    """Why a line cannot be used."""


def recordings(row: Any, tools: Sequence[Tool]) -> list[tuple[Question, Reply]]:
    """What a line holds; at least one. `tools` are on offer where the line declares none.

    Each of a fine-tuning line's assistant turns that answers a user or a tool result is an answer to what stands before
    it, unless its "weight" is 0. A logged response has a sample in each of its choices. Raises Unusable.
    """
    if not isinstance(row, dict):
        raise Unusable("not a JSON object")
    if isinstance(row.get("request"), dict):
        found = list(_logged(row["request"], row.get("response"), tools))
    elif "messages" in row:
        found = list(_trained(row, tools))
    else:
        raise Unusable('neither "messages" nor "request" and "response"')
    return found


def _trained(row: Mapping[str, Any], tools: Sequence[Tool]) -> Iterator[tuple[Question, Reply]]:
    offered = _tools(row, tools)
    messages = _messages(row["messages"])
    answers = [
        i
        for i, message in enumerate(messages)
        if message.role == "assistant"
        and i
        and messages[i - 1].role in ("user", "tool")
        and row["messages"][i].get("weight") != 0
        and (message.text or message.tool_calls)
    ]
    if not answers:
        raise Unusable("no assistant turn answers a user")
    for i in answers:
        yield Question(tuple(messages[:i]), offered), Reply(messages[i].tool_calls, messages[i].text)


def _logged(request: Mapping[str, Any], response: Any, tools: Sequence[Tool]) -> Iterator[tuple[Question, Reply]]:
    question = _question(request, tools)
    choices = response.get("choices") if isinstance(response, dict) else None
    if not isinstance(choices, list) or not choices:
        raise Unusable("the response has no choices")
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            raise Unusable("a choice of the response has no message")
        finish = FINISH.get(choice.get("finish_reason"), "stop")
        try:
            [reply] = _messages([{**message, "role": "assistant"}])
        except Unusable:  # what was answered cannot be read: that is a sample, too
            yield question, Reply((), finish="malformed")
            continue
        if finish == "stop" and not reply.text and not reply.tool_calls:
            finish = "malformed"
        yield question, Reply(reply.tool_calls, reply.text, finish=finish)


def _question(request: Mapping[str, Any], tools: Sequence[Tool]) -> Question:
    messages = tuple(_messages(request.get("messages")))
    if messages[-1].role not in ("user", "tool"):
        raise Unusable(f"the request ends with a turn of the {messages[-1].role}")
    offered = _tools(request, tools)
    choice = request.get("tool_choice") or request.get("function_call") or "auto"
    if choice == "auto":
        return Question(messages, offered)
    if choice == "required":
        return Question(messages, offered, "any")
    if isinstance(choice, dict) and choice.get("type", "function") == "function":
        name = (choice.get("function") or choice).get("name")
        # What was forced says nothing of when the function is the right one: it is the only one on offer.
        forced = tuple(t for t in offered if t.name == name)
        if forced:
            return Question(messages, forced, "any")
    raise Unusable(f"its tool_choice is {dumps(choice)}")


def _tools(row: Mapping[str, Any], default: Sequence[Tool]) -> tuple[Tool, ...]:
    if not row.get("tools") and not row.get("functions"):
        if not default:
            raise Unusable("it declares no tools")
        return tuple(default)
    try:
        return tuple(tools_of({"tools": row.get("tools") or row["functions"]}))
    except ToolsError as error:
        raise Unusable(str(error)) from None


def _messages(rows: Any) -> list[Message]:
    if not isinstance(rows, list) or not rows:
        raise Unusable("it has no messages")
    names: dict[Any, str] = {}  # of the functions behind the ids of calls
    messages = []
    for i, row in enumerate(rows):
        if not isinstance(row, dict) or row.get("role") not in ROLES:
            raise Unusable(f"messages[{i}] has no role of OpenAI's")
        role = ROLES[row["role"]]
        calls = []
        if role == "assistant":
            for call in row.get("tool_calls") or ():
                calls.append(_call(call.get("function") if isinstance(call, dict) else None, i))
                names[call.get("id")] = calls[-1].name
            if row.get("function_call"):
                calls.append(_call(row["function_call"], i))
        name = None
        if role == "tool":
            name = row.get("name") if row["role"] == "function" else names.get(row.get("tool_call_id"))
            if not isinstance(name, str):
                raise Unusable(f"messages[{i}] is the result of no call")
        messages.append(Message(role, _text(row.get("content"), i), tuple(calls), name))
    return messages


def _call(function: Any, i: int) -> ToolCall:
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Unusable(f"messages[{i}] calls something that is no function")
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except (TypeError, ValueError):
        arguments = None
    if not isinstance(arguments, dict):
        raise Unusable(f"messages[{i}] calls {function['name']} with arguments that are no JSON object")
    return ToolCall(function["name"], dumps(arguments))


def _text(content: Any, i: int) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    texts = [part.get("text") or part.get("refusal") for part in content if isinstance(part, dict)]
    if not isinstance(content, list) or len(texts) < len(content) or not all(isinstance(t, str) for t in texts):
        raise Unusable(f"messages[{i}] has content other than text")
    return "\n".join(map(str, texts))
