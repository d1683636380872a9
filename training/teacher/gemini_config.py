"""The settings of Gemini's requests: for answers to a question, and for requests to be made up."""

from __future__ import annotations

from typing import Any

from google.genai import types

from training.teacher.base import Brief, Question
from training.teacher.contents import system_instruction
from training.teacher.declarations import declare
from training.teacher.gemini_session import Options
from training.teacher.inventions import FORM, InventedRequest

# Limits of the output, thoughts included. A call takes some dozen tokens, a request made up about as many.
ANSWER_TOKENS = 4096
INVENTION_TOKENS = 4096
TOKENS_PER_REQUEST = 256

# Of Gemini's range from 0 to 2, as far from the ordinary as requests can be and still make sense.
INVENTION_TEMPERATURE = 1.3


def answer_config(question: Question, options: Options, samples: int, wanted: int) -> types.GenerateContentConfig:
    """The settings of one request for `wanted` of a question's `samples`, or as many as the model gives at once."""
    mode = types.FunctionCallingConfigMode.ANY if question.mode == "any" else types.FunctionCallingConfigMode.AUTO
    offered: dict[str, Any] = {}
    if question.tools:
        offered["tools"] = [types.Tool(function_declarations=[declare(tool) for tool in question.tools])]
        offered["tool_config"] = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode))
    candidates = min(wanted, options.candidates)
    return types.GenerateContentConfig(
        system_instruction=system_instruction(question.messages),
        # One sample is the likeliest answer; several show how sure the model is of it.
        temperature=(1.0 if samples > 1 else 0.0) if options.temperature else None,
        candidate_count=candidates if candidates > 1 else None,
        response_logprobs=True if options.logprobs else None,
        thinking_config=options.thinking[0],
        max_output_tokens=ANSWER_TOKENS,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        **offered,
    )


def invention_config(brief: Brief, options: Options) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        system_instruction=FORM,
        temperature=INVENTION_TEMPERATURE if options.temperature else None,
        thinking_config=options.thinking[0],
        max_output_tokens=INVENTION_TOKENS + TOKENS_PER_REQUEST * brief.count,
        response_mime_type="application/json",
        response_schema=list[InventedRequest],
    )
