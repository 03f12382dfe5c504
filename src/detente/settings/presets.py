"""Sizes that work together. A preset lies under the user's settings: whatever they set wins."""

from typing import Any

# A meta step at about 1.4 times a plain one instead of 5.4 (benchmarks/meta_cost.py), with no difference in loss that three seeds
# could tell (docs/results/meta.md). GELU, because differences across the kinks of ReLU adapters are mostly noise (method 5).
CHEAP_META: dict[str, Any] = {
    "adapter": {"activation": "gelu"},
    "meta": {
        "order": "fused",
        "second_order": "one-sided",
        "inner_fraction": 0.25,
        "meta_fraction": 0.25,
        "every": 2,
    },
}

PRESETS: dict[str, dict[str, Any]] = {
    # Demo and tests: seconds a run on two cores.
    "tiny": {
        "vocabulary": {"size": 800},
        "encoder": {"layers": 2, "width": 64, "heads": 4, "feed_forward_width": 172, "dropout": 0.0},
        "batches": {"block_length": 32, "blocks": 32},
        "training": {
            "steps": 600,
            "learning_rate": 4e-3,
            "warmup_steps": 200,
            "betas": [0.9, 0.95],
            "validate_every": 100,
            "checkpoint_every": 600,
        },
        **CHEAP_META,
    },
    # Two cores, some minutes a run.
    "mini": {
        "vocabulary": {"size": 8000},
        "encoder": {"layers": 4, "width": 256, "heads": 4, "feed_forward_width": 704},
        "batches": {"block_length": 128, "blocks": 32},
        "training": {"steps": 2000, "learning_rate": 2e-3, "warmup_steps": 200},
        **CHEAP_META,
    },
    # Wang, Lipton and Tsvetkov 2020, section 3.2, with XLM's published optimizer setting. The 12 heads in print do not
    # divide the width of 512: 8 heads of 64 here.
    "paper": {
        "vocabulary": {"size": 32_000},
        "encoder": {
            "variant": "xlm",
            "layers": 8,
            "width": 512,
            "heads": 8,
            "feed_forward_width": 2048,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "language_embedding": True,
        },
        "batches": {"block_length": 256, "blocks": 512},
        "training": {
            "steps": 500_000,
            "learning_rate": 1e-4,
            "schedule": "inverse-sqrt",
            "warmup_steps": 30_000,
            "betas": [0.9, 0.999],
            "clip": 5.0,
            "precision": "bf16",
            "validate_every": 10_000,
            "checkpoint_every": 10_000,
        },
    },
}
