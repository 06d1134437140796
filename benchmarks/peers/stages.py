"""The stages that have peers, by name."""

import functools
import os

import cv2
import faiss
import torch

from benchmarks.peers.alignment import match_and_align, ransac
from benchmarks.peers.clusters import lloyd, mixture
from benchmarks.peers.features import features
from benchmarks.peers.pools import similar
from benchmarks.peers.step import step

CORES = len(os.sched_getaffinity(0))
torch.set_num_threads(CORES)
cv2.setNumThreads(CORES)
cv2.setRNGSeed(0)
faiss.omp_set_num_threads(CORES)

STAGES = {
    "peers-features": features,
    "peers-align-30": functools.partial(ransac, 0.3),
    "peers-align-60": functools.partial(ransac, 0.6),
    "peers-align-80": functools.partial(ransac, 0.8),
    "peers-match": match_and_align,
    "peers-vmf": mixture,
    "peers-kmeans": lloyd,
    "peers-pools": similar,
    "peers-step": step,
}
