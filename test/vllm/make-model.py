"""Makes the folder of a tiny Llama without weights: make-model.py FOLDER TEXT...

Its tokenizer is a byte-level BPE with the split pattern of Llama 3, trained on the files TEXT. A plain text gets a
token in front; a chat gets it from its template instead, so that whoever adds it to both, or to neither, is found out.
"""

import json
import pathlib
import sys

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BEGIN, ROLE, END = "<|begin|>", "<|role|>", "<|end|>"
VOCABULARY = 4096
TEMPLATE = (
    "{{ bos_token }}{% if tools %}<|role|>tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|end|>{% endif %}"
    "{% for message in messages %}"
    "<|role|>{{ message['role'] }}\n{% if message['content'] %}{{ message['content'] | trim }}{% endif %}"
    "{% for call in message['tool_calls'] or [] %}"
    "{{ call['function']['name'] }} {{ call['function']['arguments'] | tojson }}"
    "{% endfor %}<|end|>{% endfor %}{% if add_generation_prompt %}<|role|>assistant\n{% endif %}"
)


def make_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[BEGIN, ROLE, END],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    begin = tokenizer.token_to_id(BEGIN)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, begin)]
    )
    return tokenizer


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1))


def main():
    folder, *texts = map(pathlib.Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer([text.read_text(encoding="utf8") for text in texts])
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BEGIN,
            "eos_token": END,
            "model_max_length": 8192,
            "chat_template": TEMPLATE,
        },
    )
    write_json(
        folder / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": tokenizer.get_vocab_size(),
            "bos_token_id": tokenizer.token_to_id(BEGIN),
            "eos_token_id": tokenizer.token_to_id(END),
            # As small as the attention kernels of the CPU take it.
            "hidden_size": 64,
            "head_dim": 32,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "num_hidden_layers": 1,
            "intermediate_size": 64,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
        },
    )


main()
