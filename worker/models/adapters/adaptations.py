"""What adapters make of one model's networks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from worker.models.adapters.adapted import AdaptedNetwork
from worker.models.adapters.factors import Adapter
from worker.models.adapters.fitting import Fitted, fitted, require_parts
from worker.models.adapters.mixture import Mixer, Mixture
from worker.models.image_prompts.attention import ImagePrompts, seeing
from worker.rows import AdapterUse

FindAdapter = Callable[[str], Adapter]  # by its id in the catalog


class Adaptations:
    """The networks of a model that adapters may change, each by its name in an adapter's file."""

    def __init__(self, networks: Mapping[str, nn.Module], device: torch.device, dtype: torch.dtype) -> None:
        """Change nothing.

        Args:
            networks: frozen, on the device.
            device: of the networks.
            dtype: that they compute in.
        """
        self._networks = networks
        self._adapted = {part: AdaptedNetwork(network) for part, network in networks.items()}
        self._mixers = {part: Mixer(device, dtype) for part in networks}
        self._fitted: dict[Adapter, dict[str, Fitted]] = {}

    def require(self, adapter: Adapter) -> None:
        """Refuse an adapter of another model.

        Raises:
            ModelUnavailableError: it does not fit the networks; see ``fitted``.
        """
        require_parts(adapter, self._networks)
        for part in self._networks:
            self._fit(part, adapter)

    def forget(self) -> None:
        """Keep nothing of any adapter."""
        self._fitted.clear()
        for mixer in self._mixers.values():
            mixer.forget()

    def of_rows(self, part: str, rows: Sequence[Sequence[AdapterUse]], find: FindAdapter) -> Mixture | None:
        """The mixture of a network's rows, each with its adapters; None if none changes the network."""
        if not any(rows):
            return None
        return self._mixers[part].of_rows(
            [[(self._fit(part, find(use.adapter)), use.weight) for use in uses] for uses in rows]
        )

    def of_all(self, part: str, uses: Sequence[AdapterUse], find: FindAdapter) -> Mixture | None:
        """The mixture of any number of rows with the same adapters; None if none changes the network."""
        if not uses:
            return None
        return self._mixers[part].of_all([(self._fit(part, find(use.adapter)), use.weight) for use in uses])

    def changes(self, part: str, uses: Sequence[AdapterUse], find: FindAdapter) -> dict[str, Tensor]:
        """What adapters add to a network's weights, by the names of these, in float32."""
        added: dict[str, Tensor] = {}
        for use in uses:
            fit = self._fit(part, find(use.adapter))
            for layer in fit.layers:
                change, name = fit.change(layer, use.weight), f"{layer}.weight"
                added[name] = added[name] + change if name in added else change
        return added

    def run(
        self,
        part: str,
        mixture: Mixture | None,
        *inputs: Any,
        prompts: ImagePrompts | None = None,
        **named: Any,
    ) -> Any:
        """The answer of a network with the adapters and the pictures of its rows."""
        with seeing(prompts):
            return self._adapted[part](mixture, *inputs, **named)

    def _fit(self, part: str, adapter: Adapter) -> Fitted:
        known = self._fitted.setdefault(adapter, {})
        if part not in known:
            known[part] = fitted(adapter, part, self._networks[part])
        return known[part]
