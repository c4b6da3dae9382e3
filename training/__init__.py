"""The names under which scripts of StyleGAN2-ADA-PyTorch import networks, datasets, losses and augmentation:
`training.networks` is `stylegan2_mspe.networks`, and so on.
"""

import sys

from stylegan2_mspe import augment, dataset, loss, networks

sys.modules.update({f'{__name__}.{module.__name__.rpartition(".")[2]}': module
                    for module in (augment, dataset, loss, networks)})
