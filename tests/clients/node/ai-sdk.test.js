// Vercel AI SDK: `@ai-sdk/openai` over responses (its default) and chat completions, and `@ai-sdk/openai-compatible`.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateObject, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = process.env.BASE_URL;
const openai = createOpenAI({ baseURL, apiKey: "unused" });
// Without `supportsStructuredOutputs` the provider asks for any JSON object, and keeps the schema to itself.
const compatible = createOpenAICompatible({
  name: "bodkin",
  baseURL,
  includeUsage: true,
  supportsStructuredOutputs: true,
});

const models = {
  responses: openai("bodkin-26m"),
  chat: openai.chat("bodkin-26m"),
  "openai-compatible": compatible("bodkin-26m"),
};

const question = "What is the weather in Paris?";
const john = "John Smith is 42 years old.";
const Person = z.object({ name: z.string(), age: z.number().int() });
const weather = tool({
  description: "Get the current weather of a city.",
  inputSchema: z.object({ city: z.string().describe("Name of the city") }),
  execute: async ({ city }) => `18 degrees in ${city}`,
});

for (const [name, model] of Object.entries(models)) {
  const options = { model, maxRetries: 0 };

  describe(name, () => {
    test("generateText goes through its tools to the end", async () => {
      const { steps, text } = await generateText({
        ...options,
        prompt: question,
        tools: { weather },
        stopWhen: stepCountIs(5),
      });
      const calls = steps.flatMap((step) => step.toolCalls.map(({ toolName, input }) => [toolName, input]));
      assert.deepEqual(calls, [["weather", { city: "Paris" }]]);
      assert.equal(text, "18 degrees in Paris");
      assert.equal(steps.at(-1).finishReason, "stop");
    });

    test("a second question, behind what the first one made", async () => {
      // Over responses, the SDK refers to earlier answers by their ids instead of sending them again.
      const messages = [{ role: "user", content: question }];
      const common = { ...options, messages, tools: { weather }, stopWhen: stepCountIs(5) };
      const { response } = await generateText(common);
      assert.ok(response.body.bodkin.confidence > 0); // the extension
      messages.push(...response.messages, { role: "user", content: "And what is the weather in Rome?" });
      // Whether a second question needs a call is the model's to say; that it is understood at all is tested here.
      const forced = { toolChoice: { type: "tool", toolName: "weather" }, stopWhen: stepCountIs(1) };
      const { steps } = await generateText({ ...common, ...forced });
      assert.equal(steps[0].toolCalls[0].toolName, "weather");
      assert.match(steps[0].toolResults[0].output, /^18 degrees in /);
    });

    test("streamText does, too", async () => {
      const result = streamText({ ...options, prompt: question, tools: { weather }, stopWhen: stepCountIs(5) });
      const kinds = new Set();
      let text = "";
      for await (const part of result.fullStream) {
        assert.notEqual(part.type, "error", String(part.error));
        kinds.add(part.type);
        if (part.type === "text-delta") text += part.text;
      }
      assert.equal(text, "18 degrees in Paris");
      for (const kind of ["tool-input-delta", "tool-call", "tool-result", "finish"]) assert.ok(kinds.has(kind), kind);
      assert.ok((await result.totalUsage).totalTokens > 0);
    });

    test("generateObject", async () => {
      const { object } = await generateObject({ ...options, prompt: john, schema: Person });
      assert.deepEqual(object, { name: "John Smith", age: 42 });
    });

    test("Output.object behind a tool", async () => {
      const { steps, output } = await generateText({
        ...options,
        prompt: question,
        tools: { weather },
        stopWhen: stepCountIs(5),
        output: Output.object({ schema: z.object({ city: z.string(), degrees: z.number() }) }),
      });
      assert.equal(steps[0].toolCalls[0].toolName, "weather");
      assert.deepEqual(output, { city: "Paris", degrees: 18 });
    });

    test("Output.object in a stream", async () => {
      const result = streamText({ ...options, prompt: john, output: Output.object({ schema: Person }) });
      const states = [];
      for await (const state of result.partialOutputStream) states.push(state);
      assert.deepEqual(states.at(-1), { name: "John Smith", age: 42 });
    });
  });
}

test("embed", async () => {
  const { embedding } = await embed({ model: openai.embedding("bodkin-26m"), value: "a cat" });
  assert.ok(embedding.length > 0);
});
