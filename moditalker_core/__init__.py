"""MoDiTalker: speech becomes moving face landmarks (`atom`), and these a video. Imports media_core only."""
