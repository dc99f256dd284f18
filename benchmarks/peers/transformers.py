"""transformers: a GPT-2 of our shape with random weights through generate(), in bf16, with a
static KV cache.

generate() makes a whole image in one call; a logits processor of ours, which runs once per token,
is where the clock is read and where the call is held between blocks. Its times include its own
top-k sampling.
"""

from __future__ import annotations

import torch
import transformers

from benchmarks.stepping import Paced


class Transformers(Paced):
    def __init__(self, folder, shape, prompt, size, threads, dtype, rows) -> None:
        super().__init__(prompt, shape["length"], size)
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        config = transformers.GPT2Config(
            vocab_size=shape["vocab"],
            n_positions=shape["length"],
            n_embd=shape["dim"],
            n_layer=shape["layers"],
            n_head=shape["heads"],
            n_inner=shape["mlp"],
            activation_function="gelu",
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
        )
        self.model = transformers.GPT2LMHeadModel(config).to(getattr(torch, dtype)).eval()
        self.prompts = torch.randint(1, shape["vocab"], (rows, prompt))

    def describe(self) -> dict:
        features = ("avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
        has = torch.cpu.get_capabilities()
        return {
            "attention": self.model.config._attn_implementation,
            "torch uses": torch.backends.cpu.get_cpu_capability(),
            "oneDNN": torch.backends.mkldnn.is_available(),
            "features": " ".join(name for name in features if has.get(name)),
        }

    @torch.inference_mode()
    def generate(self) -> None:
        def tick(ids, scores):
            self.tick()
            return scores

        count = self.length - self.prompt
        self.model.generate(
            self.prompts,
            attention_mask=torch.ones_like(self.prompts),
            do_sample=True,
            top_k=256,
            temperature=1.0,
            max_new_tokens=count,
            min_new_tokens=count,
            cache_implementation="static",
            logits_processor=transformers.LogitsProcessorList([tick]),
            pad_token_id=0,
        )
