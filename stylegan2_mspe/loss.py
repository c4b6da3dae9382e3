"""StyleGAN2's losses: non-saturating logistic, R1 on real pictures, path length on the generator.

A step of training calls `accumulate_gradients` once per phase, which adds to the `.grad` of one network.
"""

import numpy as np
import torch
from torch.nn.functional import softplus

from stylegan2_mspe import chance
from stylegan2_mspe.step_canvas import StepCanvas
from torch_utils import misc, training_stats
from torch_utils.ops import conv2d_gradfix

PHASES = {  # name: (main term of G, path length, main term of D, R1)
    'Gmain': (True, False, False, False),
    'Greg': (False, True, False, False),
    'Gboth': (True, True, False, False),
    'Dmain': (False, False, True, False),
    'Dreg': (False, False, False, True),
    'Dboth': (False, False, True, True),
}


class StyleGAN2Loss:
    """The two players' losses.

    `step_canvas` may be set before each step: G then draws on that canvas, and D sees what the trained one
    would have shown.
    """

    def __init__(self, device, G_mapping, G_synthesis, D, augment_pipe=None, style_mixing_prob=0.9,
                 r1_gamma=10, pl_batch_shrink=2, pl_decay=0.01, pl_weight=2):
        self.device = torch.device(device)
        self.G_mapping, self.G_synthesis, self.D, self.augment_pipe = G_mapping, G_synthesis, D, augment_pipe
        self.style_mixing_prob = style_mixing_prob
        self.r1_gamma = r1_gamma
        self.pl_batch_shrink, self.pl_decay, self.pl_weight = pl_batch_shrink, pl_decay, pl_weight
        self.pl_mean = torch.zeros([], device=self.device)     # running mean of the path lengths
        self.step_canvas: StepCanvas | None = None

    def accumulate_gradients(self, phase, real_img, real_c, gen_z, gen_c, sync, gain):
        """Adds the gradients of one phase ('Gmain', 'Greg', 'Gboth', 'Dmain', 'Dreg', 'Dboth'), times `gain`.

        real_img [N, C, R, R] in [-1, 1] with real_c [N, c_dim]; gen_z [N, z_dim] with gen_c [N, c_dim].
        `sync`: whether several processes add up their gradients in this call: once, in its last backward
        pass. A term of weight 0 is left out.
        """
        g_main, path_length, d_main, r1 = PHASES[phase]
        path_length, r1 = path_length and self.pl_weight != 0, r1 and self.r1_gamma != 0
        if g_main:
            self._generator(gen_z, gen_c, gain, sync and not path_length)
        if path_length:
            self._path_length(gen_z, gen_c, gain, sync)
        fake_loss = self._fakes(gen_z, gen_c, gain) if d_main else None
        if d_main or r1:
            self._reals(real_img, real_c, gain, fake_loss, r1, sync)

    # The generator's side.

    def _generator(self, z, c, gain, sync):
        """-log sigmoid(D(G(z)))"""
        logits = self._judge(self._draw(z, c, sync)[0], c, sync=False)
        _report_scores('fake', logits)
        loss = softplus(-logits)
        training_stats.report('Loss/G/loss', loss)
        _backward(loss, gain, sync, self.G_mapping, self.G_synthesis)

    def _path_length(self, z, c, gain, sync):
        """(|Jᵀy| - its running mean)² for noise y: how far pictures move with w (StyleGAN2, Eq. 4)."""
        count = max(len(z) // self.pl_batch_shrink, 1)
        images, ws = self._draw(z[:count], c[:count], sync)
        noise = chance.randn(list(images.shape), device=images.device, dtype=images.dtype)
        noise = noise / np.sqrt(images.shape[2] * images.shape[3])
        with conv2d_gradfix.no_weight_gradients():
            [slopes] = torch.autograd.grad((images * noise).sum(), [ws], create_graph=True)
        lengths = slopes.square().sum(dim=2).mean(dim=1).sqrt()
        mean = self.pl_mean.lerp(lengths.mean(), self.pl_decay)
        self.pl_mean.copy_(mean.detach())
        penalty = (lengths - mean).square()
        training_stats.report('Loss/pl_penalty', penalty)
        loss = penalty * self.pl_weight
        training_stats.report('Loss/G/reg', loss)
        _backward(loss, gain, sync, self.G_mapping, self.G_synthesis)

    # The discriminator's side.

    def _fakes(self, z, c, gain):
        """-log(1 - sigmoid(D(G(z)))) [N, 1], detached, for the record; G draws without a graph."""
        with torch.no_grad():
            images = self._draw(z, c, sync=False)[0]
        logits = self._judge(images, c, sync=False)
        _report_scores('fake', logits)
        loss = softplus(logits)
        _backward(loss, gain, False, self.D)
        return loss.detach()

    def _reals(self, images, c, gain, fake_loss, r1, sync):
        """-log sigmoid(D(x)) if the fakes were judged too, and γ/2 · |∂D/∂x|² (Mescheder et al. 2018)."""
        images = images.detach().requires_grad_(r1)
        logits = self._judge(images, c, sync)
        _report_scores('real', logits)
        loss = 0
        if fake_loss is not None:
            loss = softplus(-logits)
            training_stats.report('Loss/D/loss', fake_loss + loss)
        if r1:
            with conv2d_gradfix.no_weight_gradients():
                [slopes] = torch.autograd.grad(logits.sum(), [images], create_graph=True)
            penalty = slopes.square().sum(dim=(1, 2, 3))[:, None]
            training_stats.report('Loss/r1_penalty', penalty)
            reg = penalty * (self.r1_gamma / 2)
            training_stats.report('Loss/D/reg', reg)
            loss = loss + reg
        _backward(loss, gain, sync, self.D)

    # Both networks.

    def _draw(self, z, c, sync=True):
        """Pictures [N, C, R, R] and the ws [N, num_ws, w_dim] they come from."""
        with misc.ddp_sync(self.G_mapping, sync):
            ws = self._mix_styles(self.G_mapping(z, c), z, c)
        with misc.ddp_sync(self.G_synthesis, sync):
            return self._synthesize(ws), ws

    def _synthesize(self, ws):
        if self.step_canvas is None:
            return self.G_synthesis(ws)
        return self.step_canvas.draw(self.G_synthesis, ws)

    def _mix_styles(self, ws, z, c):
        """With the given probability, the layers from a random one on take another latent's style.

        One for the whole batch. Both draws are the CPU's, so that nothing waits for a GPU to tell which it
        was.
        """
        if self.style_mixing_prob <= 0 or ws.shape[1] < 2:
            return ws
        cutoff = int(torch.randint(1, ws.shape[1], [], generator=chance.shared()))
        if float(torch.rand([], generator=chance.shared())) >= self.style_mixing_prob:
            return ws
        others = self.G_mapping(chance.randn(list(z.shape), device=z.device, dtype=z.dtype), c,
                                skip_w_avg_update=True)
        return torch.cat([ws[:, :cutoff], others[:, cutoff:]], dim=1)

    def _judge(self, images, c, sync):
        """Logits [N, 1]."""
        images = images if self.augment_pipe is None else self.augment_pipe(images)
        with misc.ddp_sync(self.D, sync):
            return self.D(images, c)


def _backward(loss, gain, sync, *trained):
    """Adds the gradients of the mean loss, times gain, to those of the networks it trains.

    DistributedDataParallel waits for a gradient of every parameter, but a slope has none for what it does not
    depend on (such as a last bias): 0 takes its place.
    """
    total = loss.mean() * gain
    for module in trained:
        if sync and isinstance(module, torch.nn.parallel.DistributedDataParallel):
            total = total + sum(parameter.sum() for parameter in module.parameters()) * 0
    total.backward()


def _report_scores(kind, logits):
    scores = logits.detach()
    training_stats.report(f'Loss/scores/{kind}', scores)
    training_stats.report(f'Loss/signs/{kind}', scores.sign())
