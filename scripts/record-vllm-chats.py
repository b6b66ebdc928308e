# Writes test/golden/vllm-chats.json anew: what vLLM's own code makes of the bodies in it, for each template in
# test/tokens. Needs vLLM (the environment that `npm run test:vllm` makes), and the folder of a model without weights
# (config.json and a tokenizer) as its argument; no engine is started.
import json
import os
import pathlib
import sys

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
from transformers import AutoTokenizer
from vllm.config import ModelConfig
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.renderers.chat_utils import parse_chat_messages
from vllm.renderers.hf import resolve_chat_template_content_format, safe_apply_chat_template

root = pathlib.Path(__file__).resolve().parent.parent
golden = root / "test" / "golden" / "vllm-chats.json"
tokens = root / "test" / "tokens"
templates = {
    path.stem: path.read_text(encoding="utf-8")
    for folder in ("vllm-templates", "chat-templates")
    for path in sorted((tokens / folder).glob("*.jinja"))
}
config = ModelConfig(model=sys.argv[1], skip_tokenizer_init=True)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])


def render(body, template):
    request = ChatCompletionRequest.model_validate(json.loads(body))
    tools = None if request.tools is None else [tool.model_dump() for tool in request.tools]
    params = request.build_chat_params(template, "auto").with_defaults(
        {"tools": tools, "tokenize": False}, default_media_io_kwargs=None, default_mm_processor_kwargs=None
    )
    content_format = resolve_chat_template_content_format(
        chat_template=template, tools=tools, given_format="auto", tokenizer=tokenizer, model_config=config
    )
    conversation, _, _ = parse_chat_messages(request.messages, config, content_format=content_format)
    kwargs = {**params.get_apply_chat_template_kwargs(), "bos_token": "<s>", "eos_token": "</s>"}
    return safe_apply_chat_template(config, tokenizer, conversation, **kwargs)


def outcomes(body):
    texts = {}
    for name, template in templates.items():
        try:
            texts[name] = render(body, template)
        except Exception:
            # Whatever vLLM refuses is not rendered anywhere.
            pass
    return texts


cases = [{"body": case["body"], "texts": outcomes(case["body"])} for case in json.loads(golden.read_text("utf-8"))]
golden.write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
