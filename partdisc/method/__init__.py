"""The method, section 3 of the paper, as pure functions: they know no config, file or data set.

`cells` where cells lie, and at which pixels; `clusters`, `kmeans`, `factors` what the part layer
starts from; `part_layer` the layer; `similarity` how alike images are; `matching`, `transforms`,
`alignment`, `warp` one image on another; `pseudo_gt`, `loss`, `optimizer` what is learnt;
`detection` what is found; `parts` what of it belongs together; `part_templates` a baseline.
"""
