"""One-time asset preparation from skimage's astronaut (NASA, public domain).

Everything is computed from the photo + a 478-point mesh (mesh.npz, our own
MediaPipe run on that photo, 24x jitter-averaged) + a hand-drawn hair outline.
No download, deterministic.  ~1.5 s; result can be cached as npz.
"""
from __future__ import annotations
import os, numpy as np, cv2
HERE = os.path.dirname(os.path.abspath(__file__))
X0, Y0, X1, Y1, S = 90, 0, 360, 256, 4          # photo window and texture up-sampling
OVAL = [10,338,297,332,284,251,389,356,454,323,361,288,397,365,379,378,400,377,152,148,176,149,150,136,172,58,132,93,234,127,162,21,54,103,67,109]
RING = [[61,146,91,181,84,17,314,405,321,375,291,409,270,269,267,0,37,39,40,185],
        [76,77,90,180,85,16,315,404,320,307,306,408,304,303,302,11,72,73,74,184],
        [62,96,89,179,86,15,316,403,319,325,292,407,272,271,268,12,38,41,42,183],
        [78,95,88,178,87,14,317,402,318,324,308,415,310,311,312,13,82,81,80,191]]
EYE_R = [33,7,163,144,145,153,154,155,133,173,157,158,159,160,161,246]
EYE_L = [263,249,390,373,374,380,381,382,362,398,384,385,386,387,388,466]
# hair/ear outline, photo pixels (drawn by hand on the portrait)
_H = [(357,655),(345,655),(325,645),(310,625),(305,600),(300,580),(262,545),(230,500),(222,450),(215,380),(218,330),(235,280),(270,240),(320,208),(385,180),(400,160),(440,115),(490,100),(540,88),(600,80),(660,82),(720,100),(780,132),(830,165),(870,195),(900,240),(925,290),(935,340),(950,390),(950,440),(940,500),(925,545),(900,575),(870,605),(848,630),(840,650),(825,665),(805,678),(785,680)]
HAIR = HAIR0 = np.array(_H) * (1100 / 1092 / 5) + [110, 0]
NECK = NECK0 = np.array([(372,640),(374,760),(378,880),(395,903),(430,918),(480,930),(560,938),(640,947),(690,932),(712,917),(722,870),(737,800),(752,700),(752,640)]) * (1100/1092/5) + [110, 0]
TORSO = TORSO0 = np.array([(80,236),(95,222),(114,207),(113,196),(118,184),(124,172),(131,162),(140,155),(150,151),(161,148.5),(172,148),(188,149),(215,160),(240,168),(256,175),(265,180),(279,193),(292,210),(300,228),(303,240),(318,240),(340,258),(360,275),(360,300),(60,300)])

def up(img): return cv2.resize(img, None, fx=S, fy=S, interpolation=cv2.INTER_CUBIC)
def T(p): return (np.asarray(p, np.float64) - [X0, Y0] + 0.5) * S - 0.5      # photo px -> texture px
def fill(shape, p, v=255):
    m = np.zeros(shape, np.uint8); cv2.fillPoly(m, [np.int32(np.round(T(p) * 16))], v, cv2.LINE_AA, 4); return m

def grab(big, inner, e_in, e_out, it=3):
    gc = np.full(inner.shape, cv2.GC_BGD, np.uint8); b = inner > 127
    gc[cv2.dilate(b.astype(np.uint8), np.ones((e_out, e_out))) > 0] = cv2.GC_PR_BGD
    gc[b] = cv2.GC_PR_FGD
    gc[cv2.erode(b.astype(np.uint8), np.ones((e_in, e_in))) > 0] = cv2.GC_FGD
    cv2.setRNGSeed(7)
    cv2.grabCut(big, gc, None, np.zeros((1, 65)), np.zeros((1, 65)), it, cv2.GC_INIT_WITH_MASK)
    return (((gc == 1) | (gc == 3)) * 255).astype(np.uint8)

def identity_warp(P, seed):
    """smooth forward displacement that turns the portrait into another (non-existing) person's geometry"""
    r = np.random.default_rng([seed, 77]); u = lambda a: r.uniform(-a, a)
    jw, cl, cb, nw, nl, ed, by, my, mw, hh, hw, es = u(4.5), u(5.5), u(3.5), u(2.0), u(2.6), u(2.2), u(2.0), u(2.2), u(2.2), u(7), u(6), u(1.0)
    A = [(P[172,:2],(-jw,0),15),(P[397,:2],(jw,0),15),(P[136,:2],(-jw,0),13),(P[365,:2],(jw,0),13),(P[152,:2],(0,cl),20),(P[234,:2],(-cb,0),17),(P[454,:2],(cb,0),17),
         (P[98,:2],(-nw,0),7),(P[327,:2],(nw,0),7),(P[4,:2],(0,nl),9),(P[2,:2],(0,nl),9),(P[EYE_R,:2].mean(0),(-ed,0),11),(P[EYE_L,:2].mean(0),(ed,0),11),
         (P[105,:2],(0,by),9),(P[334,:2],(0,by),9),(P[61,:2],(-mw,my),9),(P[291,:2],(mw,my),9),(P[13,:2],(0,my),10),
         (np.array([225.,22.]),(0,-hh),26),(np.array([158.,80.]),(-hw,0),24),(np.array([298.,85.]),(hw,0),24)]
    for e, sg in ((EYE_R, 1), (EYE_L, 1)):
        c = P[e,:2].mean(0); A += [(c+[0,-4],(0,-es),6),(c+[0,4],(0,es),6)]
    def f(Q):
        Q = np.asarray(Q, np.float64); D = np.zeros(Q.shape[:-1] + (2,))
        for c, d, sg in A: D += np.exp(-((Q[..., :2] - c) ** 2).sum(-1) / (2 * sg * sg))[..., None] * np.array(d)
        return D
    return f, r

def build(identity=None):
    from skimage import data
    global HAIR, NECK, TORSO
    im = data.astronaut()[Y0:Y1, X0:X1].copy()
    d = np.load(os.path.join(HERE, "mesh.npz")); P = d["pts"].astype(np.float64); tri = d["tri"].astype(np.int64)
    HAIR, NECK, TORSO = HAIR0.copy(), NECK0.copy(), TORSO0.copy()
    if identity is not None:
        f, r = identity_warp(P, identity)
        gy, gx = np.mgrid[Y0:Y1, X0:X1].astype(np.float64); G = np.stack([gx, gy], -1); I = G - f(G)
        for _ in range(4): I = G - f(I)
        im = cv2.remap(im, (I[..., 0] - X0).astype(np.float32), (I[..., 1] - Y0).astype(np.float32), cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT)
        P[:, :2] += f(P); P[:, 2] *= r.uniform(.92, 1.1); HAIR += f(HAIR); NECK += f(NECK); TORSO += f(TORSO)
    big = up(im); h, w = big.shape[:2]
    # mild unsharp so a 2.2x magnified face is not mushy
    sharp = cv2.addWeighted(big, 1.6, cv2.GaussianBlur(big, (0, 0), 4.0), -0.6, 0)
    jaw = [234,93,132,58,172,136,150,149,176,148,152,377,400,378,379,365,397,288,361,323,454]
    head_poly = np.vstack([HAIR, P[jaw[::-1], :2]])
    inner = fill((h, w), head_poly)
    a = grab(big, inner, 41, 33)
    allow = cv2.dilate(inner, np.ones((17, 17)))                       # never stray far from the drawn outline
    ov = fill((h, w), P[OVAL, :2])
    low = np.arange(h)[:, None] > T([[0, 138.5]])[0, 1]                # below the ear lobes: the jaw line itself
    ovs = cv2.erode(ov, np.ones((9, 9)))                               # the mesh oval sits ~1 px outside the visible jaw
    a = np.where(low, ovs, cv2.min(a, allow)); a = np.where(ovs > 127, 255, a).astype(np.uint8)
    head_a = cv2.GaussianBlur(a, (0, 0), 2.2)
    # --- torso ---
    ti = fill((h, w), TORSO)
    neckm = fill((h, w), NECK)
    rough = ti.copy(); rough[neckm > 0] = 255
    hd = cv2.dilate(a, np.ones((9, 9)))
    t = grab(big, rough, 25, 13)
    t[hd > 0] = np.where(ti[hd > 0] > 127, 255, 0)
    t[neckm > 0] = np.where(ti[neckm > 0] > 127, 255, 0)
    torso_a = cv2.GaussianBlur(t, (0, 0), 2.0)
    # texture holes -> inpaint at 1x
    def inp(mask_big, r=6, dil=3):
        m = cv2.resize(mask_big, (w // S, h // S), interpolation=cv2.INTER_AREA)
        m = cv2.dilate((m > 8).astype(np.uint8), np.ones((dil, dil)))
        return up(cv2.inpaint(im, m, r, cv2.INPAINT_TELEA))
    person = cv2.max(cv2.max(a, t), cv2.max(neckm, inner))
    m1 = cv2.dilate((cv2.resize(person, (w // S, h // S), interpolation=cv2.INTER_AREA) > 6).astype(np.uint8), np.ones((9, 9)))
    # background plate: normalised convolution (push-pull) + the photo's own grain
    f = im.astype(np.float32); k = (1 - m1).astype(np.float32); acc = np.zeros_like(f); wt = np.zeros_like(k); first = f * k[..., None]
    for sg in (3, 8, 20, 60):
        n = cv2.GaussianBlur(first, (0, 0), sg); q = cv2.GaussianBlur(k, (0, 0), sg)
        g = np.clip(q * 4, 0, 1) * (1 - wt); acc += g[..., None] * n / np.maximum(q, 1e-4)[..., None]; wt += g
    acc /= np.maximum(wt, 1e-4)[..., None]
    bgp = np.where(m1[..., None] > 0, acc, f)
    soft = cv2.GaussianBlur(m1.astype(np.float32), (0, 0), 4)[..., None]
    bgp = bgp * (1 - soft) + cv2.GaussianBlur(bgp, (0, 0), 6) * soft
    rng = np.random.default_rng(3); grain = cv2.GaussianBlur(rng.normal(0, 4.0, bgp.shape[:2]).astype(np.float32), (0, 0), 0.7)
    bgp = np.clip(bgp + soft * grain[..., None], 0, 255)
    bg = up(bgp.astype(np.uint8))
    tin = cv2.erode(t, np.ones((7, 7))); tin[cv2.dilate(neckm, np.ones((9, 9))) > 0] = 0; tin[hd > 0] = 0
    torso = np.where((tin > 0)[..., None], sharp, inp(255 - tin, 4, 1))
    # neck: keep photo skin under the chin, inpaint upwards under the jaw
    hole = cv2.bitwise_and(cv2.dilate(a, np.ones((13, 13))), 255)
    nmask = cv2.resize(cv2.max(hole, 255 - cv2.erode(neckm, np.ones((9, 9)))), (w // S, h // S), interpolation=cv2.INTER_AREA) > 20
    neck = up(cv2.inpaint(im, nmask.astype(np.uint8), 4, cv2.INPAINT_TELEA))
    neck = cv2.GaussianBlur(neck, (0, 0), 3)
    # head colour bleeding: replicate colours outward so the soft alpha never shows the old background
    hb = inp(255 - cv2.erode(a, np.ones((9, 9))), 3, 1)
    head = np.where((cv2.erode(a, np.ones((9, 9))) > 0)[..., None], sharp, hb)
    # eyes: fill the eye opening outward
    em = cv2.max(fill((h, w), P[EYE_R, :2]), fill((h, w), P[EYE_L, :2])); em = cv2.erode((em > 200).astype(np.uint8), np.ones((3, 3)))
    near = cv2.dilate(em, np.ones((41, 41)))
    yy, xx = np.nonzero(near); y0, y1, x0, x1 = yy.min(), yy.max() + 1, xx.min(), xx.max() + 1
    eye = sharp.copy(); sub = eye[y0:y1, x0:x1].copy()
    eye[y0:y1, x0:x1] = cv2.inpaint(sub, ((1 - em[y0:y1, x0:x1]) & near[y0:y1, x0:x1]).astype(np.uint8), 3, cv2.INPAINT_TELEA)
    # teeth patch: inside of the smile
    inn = P[RING[3], :2]
    tm = cv2.erode((fill((h, w), inn) > 200).astype(np.uint8), np.ones((7, 7)))
    b = T([[inn[:, 0].min() - 2, inn[:, 1].min() - 5], [inn[:, 0].max() + 2, inn[:, 1].max() + 3]]).astype(int)
    sub = big[b[0, 1]:b[1, 1], b[0, 0]:b[1, 0]]; ms = 1 - tm[b[0, 1]:b[1, 1], b[0, 0]:b[1, 0]]
    teeth = cv2.inpaint(sub, ms, 5, cv2.INPAINT_TELEA)
    ovl = cv2.GaussianBlur(fill((h, w), P[OVAL, :2]), (0, 0), 6).astype(np.float32)[..., None] / 255
    lab = cv2.cvtColor(head, cv2.COLOR_RGB2LAB).astype(np.float32); skin = np.median(lab[fill((h, w), P[[117, 118, 101, 36, 205, 187], :2]) > 0], 0)
    dist = np.sqrt(((lab - skin) * [.35, 1.2, .8]).__pow__(2).sum(-1)); skinm = cv2.GaussianBlur((np.clip(1.6 - dist / 22, 0, 1)).astype(np.float32), (0, 0), 2)[..., None]
    yb = T([[0, P[[105, 334], 1].mean() + 3]])[0, 1]; geo = ovl * np.clip((np.arange(h)[:, None, None] - yb) / 24, 0, 1)
    eo = cv2.GaussianBlur(cv2.max(fill((h, w), P[EYE_R, :2]), fill((h, w), P[EYE_L, :2])), (0, 0), 1.5).astype(np.float32)[..., None] / 255
    tth = cv2.GaussianBlur(fill((h, w), P[RING[3], :2]), (0, 0), 1.5).astype(np.float32)[..., None] / 255
    inn_ = np.clip(cv2.GaussianBlur(cv2.erode(fill((h, w), P[OVAL, :2]), np.ones((25, 25))), (0, 0), 5).astype(np.float32)[..., None] / 255, 0, 1)
    skinm = np.maximum(skinm, np.maximum(geo * np.clip((np.arange(h)[:, None, None] - yb) / 24, 0, 1), inn_ * geo)) * (1 - eo) * (1 - tth)
    low = (np.arange(h)[:, None, None] > T([[0, 139]])[0, 1]); skinm = np.where(low, (1 - tth), skinm).astype(np.float32)
    hairm = np.clip(1 - np.maximum(ovl * skinm * 1.4, skinm * .9 * (np.arange(h)[:, None, None] > T([[0, 100]])[0, 1])), 0, 1) * np.clip(1 - ovl * (np.arange(h)[:, None, None] > T([[0, 97]])[0, 1]), 0, 1)
    hairmask = np.clip(hairm[..., 0] * 255, 0, 255).astype(np.uint8)
    for bw in ([70,63,105,66,107,55,65,52,53,46], [300,293,334,296,336,285,295,282,283,276]):      # brows are face, not hair
        hairmask[cv2.dilate(fill((h, w), P[bw, :2]), np.ones((11, 11))) > 0] = 0
    if identity is not None:                                            # recolour hair, skin, suit, backdrop
        def hsv(img, m, dh, ss, vs, base=0):
            h = cv2.cvtColor(img, cv2.COLOR_RGB2HSV).astype(np.float32); h[..., 0] = (h[..., 0] + dh) % 180; h[..., 1] = np.clip(h[..., 1] * ss, 0, 255); h[..., 2] = np.clip(h[..., 2] * vs + base, 0, 255)
            return np.clip(img * (1 - m) + cv2.cvtColor(h.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32) * m, 0, 255).astype(np.uint8)
        hd_, hs_, hv_ = r.uniform(-14, 8), r.uniform(.2, 1.5), r.uniform(.30, 1.15)
        tone = np.array([1, 1, 1]) * r.uniform(.55, 1.06); tone = tone * np.array([1, 1 - .14 * (1 - tone[1]), 1 - .26 * (1 - tone[2])])
        def sk(img): return np.clip(img.astype(np.float32) * (1 + (tone - 1)), 0, 255)
        head = np.clip(head * (1 - skinm) + sk(head) * skinm, 0, 255).astype(np.uint8); head = hsv(head, hairm, hd_, hs_, hv_)
        neck = sk(neck).astype(np.uint8); torso = hsv(torso, np.ones((h, w, 1), np.float32), r.uniform(0, 180), r.uniform(.4, 1.0), r.uniform(.6, 1.1))
        bg = hsv(bg, np.ones((h, w, 1), np.float32), r.uniform(0, 180), r.uniform(.5, 3.0), r.uniform(.55, 1.05))
        es_ = sk(eye).astype(np.uint8); em3 = cv2.GaussianBlur(em.astype(np.float32), (0, 0), 1.5)[..., None]; eye = np.clip(eye * em3 + es_ * (1 - em3), 0, 255).astype(np.uint8)
    return dict(pts=P, tri=tri, head=head, head_a=head_a, torso=torso, torso_a=torso_a, neck=neck, neckm=cv2.GaussianBlur(neckm, (0, 0), 2.5), bg=bg,
                eye=eye, hairmask=hairmask, teeth=teeth, teeth_box=b, hairpoly=HAIR.copy())

if __name__ == "__main__":
    import time; t0 = time.time(); A = build(); print("assets", round(time.time() - t0, 2), "s")
    def comp(rgb, a): return (rgb * (a[..., None] / 255.) + 128 * (1 - a[..., None] / 255.)).astype(np.uint8)
    row = np.hstack([comp(A["head"], A["head_a"]), comp(A["torso"], A["torso_a"]), A["bg"]]); row2 = np.hstack([comp(A["neck"], A["neckm"]), A["eye"], cv2.resize(A["teeth"], (A["bg"].shape[1], A["bg"].shape[0]))])
    cv2.imwrite("assets.png", cv2.resize(np.vstack([row, row2])[:, :, ::-1], None, fx=.5, fy=.5, interpolation=cv2.INTER_AREA))
