"""Face networks that learnt from real people, MediaPipe's: detector, 478-point mesh, person mask (docs/capture.md#face-mesh)."""
