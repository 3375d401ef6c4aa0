"""Brevitas' export to QONNX, with 1-bit activations as they are computed.

Brevitas 0.13.4 writes every quantizer of 1 bit as BipolarQuant, whose integers are -1 and 1. An unsigned one, as every
activation of the networks here is, has 0 and 1, which QONNX's Quant can say.
"""

from __future__ import annotations

from brevitas.export.onnx.qonnx.function import BrevitasQuantOp
from brevitas.export.onnx.qonnx.handler import BrevitasActQuantProxyHandler
from brevitas.export.onnx.qonnx.manager import QONNXManager

__all__ = ["export_qonnx"]


class _ActivationHandler(BrevitasActQuantProxyHandler):
    def prepare_for_export(self, module) -> None:
        super().prepare_for_export(module)
        if module.is_quant_enabled and not module.is_signed:
            self.quant_op = BrevitasQuantOp


class _Manager(QONNXManager):
    handlers = (_ActivationHandler, *QONNXManager.handlers)  # the first that fits is taken


def export_qonnx(*args, **options):
    """`brevitas.export.export_qonnx`, by TorchScript: the network, an example of its input, and the file's path."""
    return _Manager.export(*args, **options)
