"""The customary augmentation of small images, for a whole batch at once on its device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CropFlip:
    """Pad and crop, flip left to right with probability 1/2, and optionally cut out a square (DeVries & Taylor, 2017).

    Attributes:
        pad: pixels added on every side before a crop of the original size.
        fill: value of the padding, a number a channel (black, as normalised images show it).
        cutout: side in pixels of the square set to 0 (the mean, as images are normalised); its centre is uniform over
            the image, so part of it may lie outside; 0 for none.
    """

    pad: int
    fill: tuple[float, ...]
    cutout: int = 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """images [N, C, H, W] -> the same shape and device, channels-last.

        All randomness is drawn on the CPU from ``generator``, so every device sees the same crops.
        """
        count, channels, height, width = images.shape
        device, pad = images.device, self.pad

        def draw(high: int) -> Tensor:
            return torch.randint(high, (count, 1), generator=generator)

        rows = draw(2 * pad + 1) + torch.arange(height)
        columns = draw(2 * pad + 1) + torch.arange(width)
        columns = torch.where(draw(2).bool(), columns.flip(1), columns)
        padded = torch.tensor(self.fill, dtype=images.dtype).to(device)
        padded = padded.expand(count, height + 2 * pad, width + 2 * pad, channels).clone()
        padded[:, pad : pad + height, pad : pad + width] = images.permute(0, 2, 3, 1)
        pixels = padded[
            torch.arange(count, device=device)[:, None, None],
            rows.to(device)[:, :, None],
            columns.to(device)[:, None, :],
        ]
        if self.cutout:
            down = torch.arange(height) - draw(height) + self.cutout // 2
            right = torch.arange(width) - draw(width) + self.cutout // 2
            hit = _within(down, self.cutout)[:, :, None] & _within(right, self.cutout)[:, None, :]
            pixels = pixels.masked_fill(hit[..., None].to(device), 0)
        return pixels.permute(0, 3, 1, 2)


def _within(offset: Tensor, length: int) -> Tensor:
    return (offset >= 0) & (offset < length)
