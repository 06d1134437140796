"""What one would write with PyTorch, OpenCV, scikit-learn, SciPy and faiss: the same work."""
