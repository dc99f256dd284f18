"""Bundles: a model in a directory.

    save_gpt("my-bundle", model)                    model = load_gpt("my-bundle", device="cuda")
    save_vq("my-bundle", "vq_img", tokenizer)       tokenizer = load_vq("my-bundle", "vq_img")
    save_bpe("my-bundle", bpe)                      bpe = load_bpe("my-bundle")
    save_words("my-bundle", captions)               known = read_words("my-bundle")

config.json holds the format's version, the kind and the config of each model that is there (gpt,
vq_seg, vq_img); MODEL.safetensors has its weights, all fp32 or all bf16, or of the GPT
the matrices as levels and scales, where config.json has "gpt_dtype": "int4"; tokenizer.json is the
captions' tokenizer. Two files may be missing: words.txt, the words of the captions that the GPT
learned from, one a line, and sampling.json, the guidance, temperature, top_k and top_p that suit
it. Unknown keys, names or shapes are errors: a model is read in full or not at all. `read_config`,
`read_vq_config` and `read_weights` need no torch, and the last maps the file into memory, so that
the C++ engine packs its weights without a second copy of them.
"""

from mas_fast.utils.lazy import names_of

__getattr__, __dir__, __all__ = names_of(
    __name__,
    {
        "check": ("check_bundle",),
        "config": ("BPE_FILE", "CONFIG_FILE", "GPT_FILE", "SAMPLING_FILE", "SHIPPED", "VQ_INPUTS")
        + ("VQ_NAMES", "WORDS_FILE", "Bundle", "bundle_files", "models_of", "read_config")
        + ("read_vq_config", "shipped"),
        "export": ("export_int4",),
        "extras": ("load_bpe", "read_sampling", "read_words", "save_bpe", "save_sampling")
        + ("save_words",),
        "hub": ("find_bundle", "push_to_hub"),
        "torch_io": ("Stored", "load_gpt", "load_vq", "save_gpt", "save_vq"),
        "weights": ("read_weights",),
    },
)
