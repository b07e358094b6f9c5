"""What rows name beside the model: adapters, ControlNets and image prompt adapters in memory."""

from typing import Protocol

from jobs.errors import ModelUnavailableError
from worker.models.adapters.factors import Adapter
from worker.models.controls.control import Control
from worker.models.image_prompts.adapter import ImagePromptAdapter


class Held(Protocol):
    """Gives them by their ids in the catalog."""

    def adapter(self, adapter_id: str) -> Adapter:
        """An adapter in memory."""

    def control(self, control_id: str) -> Control:
        """A ControlNet in memory."""

    def image_prompt(self, adapter_id: str) -> ImagePromptAdapter:
        """An image prompt adapter in memory."""


class Nothing:
    """Holds none."""

    def adapter(self, adapter_id: str) -> Adapter:
        """Raise ModelUnavailableError."""
        raise ModelUnavailableError(f"there is no adapter {adapter_id!r} here")

    def control(self, control_id: str) -> Control:
        """Raise ModelUnavailableError."""
        raise ModelUnavailableError(f"there is no ControlNet {control_id!r} here")

    def image_prompt(self, adapter_id: str) -> ImagePromptAdapter:
        """Raise ModelUnavailableError."""
        raise ModelUnavailableError(f"there is no image prompt adapter {adapter_id!r} here")


NOTHING = Nothing()
