"""transformers' Trainer, with this project's scores after every epoch."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import RandomSampler, SequentialSampler, Subset
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from detente.errors import TrainingError
from detente.settings.tasks import TaskSettings
from detente.tasks.features import Collator, Features
from detente.tasks.models import Loaded


class FineTuner(Trainer):
    """One fine-tuning: a model, examples, and one point of the grid.

    Args:
        after_epoch: given the number of the epoch, from 1, and its mean loss.
        after_step: given the number of examples of each update.
    """

    def __init__(
        self,
        loaded: Loaded,
        train: Features | None,
        *,
        settings: TaskSettings,
        batch_size: int,
        rates: tuple[float, float],
        reduce: Callable[[Any], Any],
        pad_id: int,
        seed: int,
        folder: Path,
        use_cpu: bool,
        after_epoch: Callable[[int, float], None] | None = None,
        after_step: Callable[[int], None] | None = None,
    ) -> None:
        self._draws = settings.examples_per_epoch
        self._after_epoch = after_epoch or (lambda _, __: None)
        self._losses: list[Tensor] = []
        self._rate = rates[0]
        examples = self._draws or (len(train) if train is not None else 0)
        updates = math.ceil(examples / batch_size) * settings.epochs
        super().__init__(
            model=loaded.model,
            args=TrainingArguments(
                output_dir=str(folder),
                num_train_epochs=settings.epochs,
                per_device_train_batch_size=batch_size,
                per_device_eval_batch_size=max(32, batch_size),
                learning_rate=rates[0],
                lr_scheduler_type="linear",
                warmup_steps=round(settings.warmup * updates),
                max_grad_norm=1.0,
                seed=seed,
                train_sampling_strategy="random" if self._draws else "group_by_length",
                eval_strategy="epoch" if train is not None else "no",
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
                use_cpu=use_cpu,
                dataloader_pin_memory=not use_cpu,
                remove_unused_columns=False,
            ),
            train_dataset=train,
            # Not used by `evaluate`, but the Trainer asks for one.
            eval_dataset=train,
            data_collator=Collator(pad_id),
            optimizers=(_optimizer(loaded, rates, settings.weight_decay), None),
            preprocess_logits_for_metrics=lambda logits, _: reduce(logits),
            callbacks=[_EachStep(batch_size, after_step)] if after_step else [],
        )
        self.remove_callback(PrinterCallback)
        # Several GPUs would each take a batch, and an update so many times the examples that were asked for.
        self.args._n_gpu = min(self.args.n_gpu, 1)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Called by the Trainer after each epoch."""
        losses = [float(loss) for loss in self._losses]
        self._losses.clear()
        self._after_epoch(round(self.state.epoch or 0), sum(losses) / max(len(losses), 1))
        return {}

    def outputs(self, features: Features) -> Any:
        """What the task keeps of the logits: arrays with a padded row for each feature, in their order."""
        by_length = sorted(range(len(features)), key=features.length)
        place_of = np.argsort(by_length)
        # Even a loader that does not shuffle draws a number: what is looked at must not change what is trained.
        with torch.random.fork_rng(devices=[]):
            found = self.predict(Subset(features, by_length)).predictions
        return tuple(part[place_of] for part in found) if isinstance(found, tuple) else found[place_of]

    def training_step(self, *inputs: Any, **named: Any) -> Tensor:
        """As the Trainer's.

        Raises:
            TrainingError: the loss is not finite.
        """
        loss = super().training_step(*inputs, **named)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss of fine-tuning at the learning rate {self._rate:g} is {loss.item()}.")
        self._losses.append(loss.detach())
        return loss

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """In order: the Trainer's own would group by length, and lose the order."""
        return SequentialSampler(eval_dataset)

    def _get_train_sampler(self, *given: Any) -> Any:
        """Where an epoch is a number of examples, it draws them without looking at their length."""
        if self._draws is None:
            return super()._get_train_sampler(*given)
        generator = torch.Generator().manual_seed(self.args.seed)
        return RandomSampler(
            cast(Features, self.train_dataset), replacement=True, num_samples=self._draws, generator=generator
        )


class _EachStep(TrainerCallback):
    """Tells of the examples done."""

    def __init__(self, batch_size: int, told: Callable[[int], None]) -> None:
        self.batch_size, self.told = batch_size, told

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Of the Trainer."""
        self.told(self.batch_size)


def _optimizer(loaded: Loaded, rates: tuple[float, float], weight_decay: float) -> torch.optim.AdamW:
    """Rates of the encoder and of the head; norms and biases do not decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in loaded.model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name in loaded.head, parameter.dim() > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rates[is_head], "weight_decay": weight_decay if decays else 0.0}
            for (is_head, decays), parameters in groups.items()
        ]
    )
