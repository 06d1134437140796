"""The stages of a run around the method: they know the config, the work directory, the data.

`inputs` opens data and weights, `features` and `clusters` are computed from them, `pools` chooses
similar images; `step` and `loop` train the part layer, `checkpoints` keep it; `label_free` says
how good it is without labels; `check` examines data before any of it. The kernels that they call
are in `method`, the nouns of the paper's section 3.
"""
