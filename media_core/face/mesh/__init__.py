"""Face networks that learnt from real people: MediaPipe's detector, 478-point mesh and person mask (docs/capture.md#face-mesh)."""
