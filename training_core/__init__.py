"""What every training here shares: the loop, its state on disk, its log, optimisers, and the processes that train together."""
