"""The stages of a run around the method: they know the config, the work directory, the data.

`stages` opens data and weights and computes features and clusters; `pools` finds similar images;
`step` and `loop` train the part layer, `checkpoints` keep it; `label_free` says how good it is
without labels; `check` examines data before any of it.
"""
