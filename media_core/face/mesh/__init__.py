"""Face networks that learnt from real people: MediaPipe's detector, attention mesh and person mask (docs/capture.md#face-mesh)."""
