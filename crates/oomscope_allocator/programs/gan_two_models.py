"""Two models trained in turn, as in a GAN: the generator's images grow while the discriminator's batch shrinks.

Activations of the one are freed while the other's graph still lives, and momentum buffers come into being between
them. Resolutions step up as in progressive growing, so that earlier blocks are too small.
"""

import torch
from torch import nn

from common import DEVICE, ConvolutionalNet, on_device


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Linear(128, 64 * 8 * 8)
        self.stages = nn.ModuleList(nn.Conv2d(64, 64, 3, padding=1) for _ in range(6))
        self.colours = nn.Conv2d(64, 3, 1)

    def forward(self, noise, doublings):
        x = self.start(noise).view(-1, 64, 8, 8)
        for stage in self.stages[:doublings]:
            x = torch.relu(stage(nn.functional.interpolate(x, scale_factor=2)))
        return torch.tanh(self.colours(x))


def main():
    generator, critic = on_device(Generator), on_device(lambda: ConvolutionalNet(channels=(3, 64, 128, 256), classes=1))
    of_generator = torch.optim.Adam(generator.parameters(), lr=1e-4)
    of_critic = torch.optim.SGD(critic.parameters(), lr=1e-3, momentum=0.9)
    for doublings, batch in ((3, 32), (4, 24), (5, 12), (6, 7), (6, 5), (5, 11), (6, 8)):
        noise = torch.empty(batch, 128, device=DEVICE)
        fake = generator(noise, doublings)
        of_critic.zero_grad(set_to_none=True)
        real = torch.empty_like(fake)
        (critic(real).mean() - critic(fake.detach()).mean()).backward()
        of_critic.step()
        of_generator.zero_grad(set_to_none=True)
        critic(fake).mean().backward()
        of_generator.step()
    return generator, critic, of_generator, of_critic


if __name__ == "__main__":
    main()
