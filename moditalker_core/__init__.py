"""MoDiTalker: speech becomes moving face landmarks (`atom`), and these a film. Imports media_core only."""
