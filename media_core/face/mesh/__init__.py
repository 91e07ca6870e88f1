"""Face networks that learnt from real people: MediaPipe's detector, attention mesh (478 points) and person mask in torch."""
