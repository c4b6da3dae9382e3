"""Our modules as StyleGAN2-ADA-PyTorch would pickle them, with any change; and what our reader says."""

import collections
import io
import pickle

from stylegan2_mspe.legacy import load_network_pkl
from torch_utils import persistence


class Foreign:
    """Pickles a module as StyleGAN2-ADA-PyTorch does, with any source text, class name and changes of the
    state.
    """

    def __init__(self, module, source='', **changes):
        self.module, self.source, self.changes = module, source, changes

    def __reduce__(self):
        state = collections.OrderedDict(self.module.__dict__)
        state['_modules'] = collections.OrderedDict((name, Foreign(child, self.source))
                                                    for name, child in self.module._modules.items())
        state.update(self.changes.get('state', {}))
        name = type(self.module).__name__
        meta = dict(type='class', version=6, module_src=self.source, class_name=name, state=state)
        meta.update({key: value for key, value in self.changes.items() if key != 'state'})
        return persistence._reconstruct_persistent_obj, (meta,)


def read(content, protocol=pickle.DEFAULT_PROTOCOL):
    return load_network_pkl(io.BytesIO(pickle.dumps(content, protocol)))
