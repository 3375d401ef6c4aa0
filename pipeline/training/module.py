"""A network in training: its loss, its optimizer, and A2Q's penalty. Lightning drives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning
import torch
from brevitas.core.scaling import AccumulatorAwareParameterPreScaling, ParameterFromRuntimeStatsScaling
from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from pipeline.datasets.catalog import find
from pipeline.errors import VerificationError
from pipeline.models.a2q import a2q_layers, norms, pre_scaling
from pipeline.models.boxes import anchors_of
from pipeline.models.integer_weights import hidden_sparsity, integer_weights, largest_l1
from pipeline.models.layers import ImageNetwork
from pipeline.models.tasks import Outputs, task_of
from pipeline.training.config import TrainConfig
from pipeline.training.losses import loss_of

__all__ = ["Training", "forget_statistics"]


class Training(lightning.LightningModule):
    """Trains `network` as `config` says, on batches of images (N, C, H, W) in [0, 1] and labels, see `BatchSource`.

    `steps` is the number of batches in an epoch.
    """

    def __init__(self, network: ImageNetwork, config: TrainConfig, steps: int) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.steps = steps
        self._loss = loss_of(config.loss, network)
        self._accuracy = task_of(find(config.dataset).labels, anchors_of(network)).accuracy
        self._penalty: _Penalty | None = None
        self._restored: dict[str, dict[str, Any]] = {}

    def forward(self, images: Tensor) -> Outputs:
        # Not with channels last on a CPU: oneDNN 3.12 without AVX-512 writes past its memory in the backward pass of a
        # 1x1 convolution of stride 2 with fewer than 8 input channels. It crashes, hangs or gives wrong gradients.
        last = torch.channels_last if images.is_cuda else torch.contiguous_format
        return self.network(images.contiguous(memory_format=last))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = _optimizer(self.network, self.config)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.config.rate(step, self.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        _restore_statistics(self.network, self._restored)
        self._penalty = _Penalty(self.network)  # now: loading weights makes the modules it listens to anew

    def on_train_end(self) -> None:
        if self._penalty:
            self._penalty.remove()

    def on_train_epoch_start(self) -> None:
        batches = self.trainer.train_dataloader
        assert batches is not None  # this is an epoch of it
        batches.set_epoch(self.current_epoch)  # Lightning tells torch's own samplers only
        # draws depend on the epoch alone, so that a resumed training goes on as if it had not stopped
        torch.manual_seed(self.config.seed * 100_003 + self.current_epoch)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, labels = batch
        assert self._penalty is not None
        self._penalty.reset()
        outputs = self(images)
        loss = self._loss(outputs, labels)
        self._log("train", loss.detach(), outputs, labels, on_epoch=True, on_step=False)
        return loss + self.config.accumulator.regularization * self._penalty.total

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        images, labels = batch
        outputs = self(images)
        self._log("val", self._loss(outputs, labels), outputs, labels)

    def _log(self, images: str, loss: Tensor, outputs: Outputs, labels: Tensor, **options: Any) -> None:
        self.log(f"{images}_loss", loss, prog_bar=True, batch_size=len(labels), **options)
        if self._accuracy:
            accuracy = (outputs.detach().argmax(1) == labels).float().mean()
            self.log(f"{images}_{self._accuracy}", accuracy, prog_bar=True, batch_size=len(labels), **options)

    def integer_facts(self) -> dict[str, float]:
        """Sparsity and the largest ‖w‖₁ of the hidden layers' integer weights; empty for a float network.

        Raises VerificationError for a layer whose sums need more bits than it is trained for.
        """
        if self.config.quantization is None:
            return {}
        assert self._penalty is not None
        image = torch.zeros(1, *self.network.input_shape, device=self.device)
        layers = integer_weights(self.network, image)
        bits = self.config.accumulator.bit_width or 0
        for name in self._penalty.layers:
            widest = layers[name].sum_bits()
            if int(widest.max()) > bits:
                raise VerificationError(
                    f"layer {name}, channel {int(widest.argmax())}: its sums need {int(widest.max())} bits after epoch "
                    f"{self.current_epoch + 1}, and it is trained for {bits}."
                )
        return {"sparsity": hidden_sparsity(layers), "largest_l1": float(largest_l1(layers))}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["statistics"] = _statistics(self.network)
        checkpoint["threads"] = torch.get_num_threads()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._restored = checkpoint.get("statistics", {})


def _optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    options = config.optimizer
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        is_weight = name.endswith(".weight") and parameter.ndim > 1
        (decayed if is_weight else free).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": options.weight_decay},
        {"params": free, "weight_decay": 0.0},  # scales, norms and biases are left to their gradients
    ]
    if options.name == "sgd":
        nesterov = options.nesterov and options.momentum > 0
        return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, nesterov=nesterov)
    kind = torch.optim.Adam if options.name == "adam" else torch.optim.AdamW
    return kind(groups, lr=options.lr)


class _Penalty:
    """Sums max(0, g − T·s) over the A2Q layers of a network in each forward pass, as Brevitas' examples of A2Q do."""

    def __init__(self, network: nn.Module) -> None:
        self.total: Tensor | float = 0.0
        self.layers = a2q_layers(network)
        self._hooks = [
            pre_scaling(layer).register_forward_hook(self._listener(layer)) for layer in self.layers.values()
        ]

    def _listener(self, layer: QuantWeightBiasInputOutputLayer) -> Callable[..., None]:
        def add(module: AccumulatorAwareParameterPreScaling, inputs: tuple[Any, ...], _output: object) -> None:
            _, input_bit_width, input_is_signed = inputs
            norm, scale = norms(layer)
            self.total = (
                self.total + torch.relu(norm - module.calc_max_l1_norm(input_bit_width, input_is_signed) * scale).sum()
            )

        return add

    def reset(self) -> None:
        self.total = 0.0

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


def _statistics(network: nn.Module) -> dict[str, dict[str, Any]]:
    """How far each activation quantizer is in finding its scale, which Brevitas leaves out of a network's state."""
    return {
        name: {"counter": module.counter, "buffer": module.buffer.clone()}
        for name, module in network.named_modules()
        if isinstance(module, ParameterFromRuntimeStatsScaling) and module.counter <= module.collect_stats_steps
    }


def forget_statistics(network: nn.Module) -> None:
    """Let the activation quantizers find their scales anew, from the next batches."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, ParameterFromRuntimeStatsScaling):
                module.counter = 0
                module.buffer.fill_(1.0)
                module.value.fill_(1.0)


def _restore_statistics(network: nn.Module, statistics: dict[str, dict[str, Any]]) -> None:
    modules = dict(network.named_modules())
    with torch.no_grad():
        for name, saved in statistics.items():
            module = modules[name]
            module.counter = saved["counter"]
            module.buffer.copy_(saved["buffer"])
            module.value.fill_(1.0)  # the statistics are multiplied into it when they are complete
