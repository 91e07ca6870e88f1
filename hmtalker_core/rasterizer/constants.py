"""Numbers that every back end shares: gsplat 1.5.3's "classic" mode (docs/rasterizer.md) and the harmonics' coefficients."""

ALPHA_MIN = 1.0 / 255.0        # fainter contributions are skipped
ALPHA_MAX = 0.999              # no single Gaussian hides everything behind it
TRANSMITTANCE_MIN = 1e-4       # a Gaussian that would leave less light than this is not drawn, nor anything behind it
MAX_EXTENT = 3.33              # upper bound of the box, in standard deviations
JACOBIAN_MARGIN = 0.15         # of the image size, how far outside of the image the Jacobian follows a centre

# Real spherical harmonics up to degree 3: sqrt(1 / 4 pi), sqrt(3 / 4 pi), then the factors of each polynomial.
MAX_SH_DEGREE = 3
C0 = 0.28209479177387814
C1 = 0.48860251190292
A2, B2, C2, D2 = 0.5462742152960395, 1.092548430592079, 0.9461746957575601, 0.3153915652525201
A3, B3, C3, D3, E3, F3 = (0.5900435899266435, 1.445305721320277, 2.285228997322329, 0.4570457994644658, 1.865881662950577,
                          1.119528997770346)
