# Writes test/golden/vllm-conversions.json anew: the chats that vLLM's own code makes of the bodies in it, which are
# requests of the responses API and of Anthropic's messages API. Needs vLLM (the environment that `npm run test:vllm`
# makes); no engine is started.
import json
import os
import pathlib
from types import SimpleNamespace

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
from vllm.entrypoints.anthropic.protocol import AnthropicMessagesRequest
from vllm.entrypoints.anthropic.serving import AnthropicServingMessages
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.entrypoints.openai.responses.utils import construct_input_messages, construct_tool_dicts

golden = pathlib.Path(__file__).resolve().parent.parent / "test" / "golden" / "vllm-conversions.json"
config = SimpleNamespace(max_model_len=4096)


def plain(value):
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if value is None or isinstance(value, (str, int, float)):
        return value
    return [plain(item) for item in value]


def of_responses(body):
    request = ResponsesRequest.model_validate(body)
    messages = construct_input_messages(request_instructions=request.instructions, request_input=request.input)
    return request, messages, construct_tool_dicts(request.tools, request.tool_choice)


def of_messages(body):
    request = AnthropicServingMessages.to_chat_completion_request(AnthropicMessagesRequest.model_validate(body))
    tools = None if request.tools is None else [tool.model_dump() for tool in request.tools]
    return request, request.messages, tools


def convert(case):
    of = of_responses if case["api"] == "responses" else of_messages
    request, messages, tools = of(json.loads(case["body"]))
    tokens = request.build_tok_params(config)
    expected = {
        "messages": plain(messages),
        "tools": plain(tools) if tools is not None else None,
        "kwargs": plain(request.build_chat_params(None, "auto").chat_template_kwargs),
        "addSpecialTokens": tokens.add_special_tokens,
        "truncate": tokens.truncate_prompt_tokens,
    }
    return {**case, "expected": json.dumps(expected, ensure_ascii=False, separators=(",", ":"))}


cases = [convert(case) for case in json.loads(golden.read_text(encoding="utf-8"))]
golden.write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
