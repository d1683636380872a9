// openai-node: `runTools` to its end, streams, and structured output by zod; over chat completions and responses.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: "unused", maxRetries: 0 });
const model = "bodkin-26m";
const question = { role: "user", content: "What is the weather in Paris?" };
const john = { role: "user", content: "John Smith is 42 years old." };
const Person = z.object({ name: z.string(), age: z.number().int() });

const Weather = z.object({ city: z.string().describe("Name of the city") });
const description = "Get the current weather of a city.";

for (const stream of [false, true]) {
  test(`runTools goes to its end, stream: ${stream}`, async () => {
    const asked = [];
    const weather = ({ city }) => {
      asked.push(city);
      return `18 degrees in ${city}`;
    };
    const tools = [zodFunction({ name: "get_weather", description, parameters: Weather, function: weather })];
    const runner = client.chat.completions.runTools({ model, stream, messages: [question], tools });
    assert.equal(await runner.finalContent(), "18 degrees in Paris");
    assert.deepEqual(asked, ["Paris"]);
  });
}

test("a stream of chunks", async () => {
  const tools = [zodFunction({ name: "get_weather", description, parameters: Weather })];
  const stream = client.chat.completions.stream({ model, messages: [question], tools });
  const pieces = [];
  stream.on("tool_calls.function.arguments.delta", ({ arguments_delta }) => pieces.push(arguments_delta));
  const completion = await stream.finalChatCompletion();
  const [call] = completion.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(JSON.parse(pieces.join("")), { city: "Paris" });
});

test("structured output", async () => {
  const format = zodResponseFormat(Person, "person");
  const completion = await client.chat.completions.parse({ model, messages: [john], response_format: format });
  assert.deepEqual(completion.choices[0].message.parsed, { name: "John Smith", age: 42 });
  assert.ok(completion.bodkin.confidence > 0); // the extension, which other clients ignore
});

test("responses: a tool loop", async () => {
  const tools = [zodResponsesFunction({ name: "get_weather", description, parameters: Weather })];
  const first = await client.responses.create({ model, input: [question], tools });
  const [call] = first.output;
  assert.deepEqual([call.type, call.name], ["function_call", "get_weather"]);
  assert.deepEqual(JSON.parse(call.arguments), { city: "Paris" });
  const output = { type: "function_call_output", call_id: call.call_id, output: "18 degrees in Paris" };
  const last = await client.responses.create({ model, input: [question, call, output], tools });
  assert.equal(last.output_text, "18 degrees in Paris");
});

test("responses: structured output in a stream", async () => {
  const stream = client.responses.stream({ model, input: [john], text: { format: zodTextFormat(Person, "person") } });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  assert.deepEqual((await stream.finalResponse()).output_parsed, { name: "John Smith", age: 42 });
  assert.ok(kinds.includes("response.output_text.delta"));
});
